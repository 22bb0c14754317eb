"""Made-up users of made-up guilds who send the same command, and figures on how each guild is served.

It shows how a bot divides its capacity, for example between a guild that asks five times as often and the others. It
knows nothing of the bot: an answer counts as finished when it carries files and has not changed for `QUIET_S`; its last
change is then the time at which it was finished.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

from discord_sandbox.command_options import ActionRefusedError
from discord_sandbox.guilds import Channel, Guild, Member, Message
from discord_sandbox.interactions import Interaction
from discord_sandbox.json_types import Json
from discord_sandbox.scripted_user import ScriptedUser
from discord_sandbox.users import User
from discord_sandbox.world import Change, World

# The first part of the names of made-up guilds and users.
NAME = "Load"
_NAMES = (
    *("Ida", "Juno", "Lars", "Mina", "Noor", "Otto", "Pia", "Quin", "Rafa", "Sol"),
    *("Tove", "Uma", "Vik", "Wren", "Yara", "Zeno", "Bea", "Cato", "Elif", "Hugo"),
)
QUIET_S = 4.0
WINDOW_S = 30.0
NUM_POINTS = 150
MAX_GUILDS, MAX_MEMBERS, MAX_RATE = 50, 50, 200.0
MAX_UNANSWERED = 500
_ALTERNATIVES = re.compile(r"\{([^{}]*\|[^{}]*)\}")


@dataclass(frozen=True)
class LoadPlan:
    """The command, the users who send it, and `rate`, the requests a second of all together.

    In the texts of `options`, `{red|blue}` is one of the two each time. The first server asks `greed` times
    as often as each of the others.
    """

    command: str
    options: dict[str, Any]
    num_guilds: int = 3
    num_members: int = 4
    rate: float = 1.0
    greed: float = 1.0

    def __post_init__(self) -> None:
        if not (1 <= self.num_guilds <= MAX_GUILDS and 1 <= self.num_members <= MAX_MEMBERS):
            raise ActionRefusedError(f"Choose 1 to {MAX_GUILDS} servers with 1 to {MAX_MEMBERS} users each.")
        if not (0 < self.rate <= MAX_RATE and 0 < self.greed <= 1000):
            raise ActionRefusedError(f"Choose at most {MAX_RATE:.0f} requests a second.")


@dataclass(eq=False)
class PendingRequest:
    """One request, until it is finished."""

    interaction: Interaction
    asked_s: float
    changed_s: float


@dataclass(eq=False)
class GuildLoad:
    """One made-up guild and its figures."""

    guild: Guild
    channel: Channel
    members: list[Member] = field(default_factory=list)
    num_asked: int = 0
    num_refused: int = 0
    num_failed: int = 0
    num_finished: int = 0
    num_files: int = 0
    waiting: list[PendingRequest] = field(default_factory=list)
    acks_ms: deque[float] = field(default_factory=lambda: deque(maxlen=500))
    waits_s: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    finished_at_s: deque[tuple[float, int]] = field(default_factory=deque)

    def count_recent_files(self, now_s: float) -> int:
        """Return how many files were finished within the last `WINDOW_S` seconds."""
        while self.finished_at_s and self.finished_at_s[0][0] < now_s - WINDOW_S:
            self.finished_at_s.popleft()
        return sum(count for _, count in self.finished_at_s)


class LoadGenerator:
    """Run one plan at a time, and tell the listeners its figures once a second."""

    def __init__(self, world: World, act_as: Callable[[User, Channel], ScriptedUser]) -> None:
        self._world = world
        self._act_as = act_as
        self._guild_loads: list[GuildLoad] = []
        self._plan: LoadPlan | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None
        self._is_asking = False
        self._by_interaction: dict[int, PendingRequest] = {}
        self._points: deque[Json] = deque(maxlen=NUM_POINTS)
        self._listeners: list[Callable[[Json], None]] = []
        self.quiet_s = QUIET_S
        world.subscribe(self._hear)

    def listen(self, listener: Callable[[Json], None]) -> Callable[[], None]:
        """Call `listener` with a view once a second, and return a function that stops it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def is_asking(self) -> bool:
        """Whether new requests are still made; the old ones are counted until none waits."""
        return self._is_asking and self._runner is not None and not self._runner.done()

    # -- starting and stopping -----------------------------------------------------------------------

    async def start(self, plan: LoadPlan, visitor: User) -> None:
        """Begin, ending an earlier plan; `visitor` becomes a member of every made-up guild, to watch."""
        await self.close()
        self._plan = plan
        self._is_asking = True
        self._points.clear()
        self._guild_loads = [
            self._prepare_guild(number, plan.num_members, visitor) for number in range(1, plan.num_guilds + 1)
        ]
        self._runner = asyncio.create_task(self._run(plan))

    def stop(self) -> None:
        """Make no more requests; the ones that wait are watched until they are finished."""
        self._is_asking = False
        self._tell()

    async def close(self) -> None:
        """End the plan and cancel what is under way."""
        self._is_asking = False
        for task in [self._runner, *self._tasks]:
            if task is not None and not task.done():
                task.cancel()
        if self._runner is not None:
            await asyncio.gather(self._runner, *self._tasks, return_exceptions=True)
        self._runner = None
        self._by_interaction.clear()

    def _prepare_guild(self, number: int, num_members: int, visitor: User) -> GuildLoad:
        name = f"{NAME} {number}"
        guild = next((g for g in self._world.guilds.values() if g.name == name), None)
        if guild is None:
            guild = self._world.add_guild(name)
            guild.add_channel("load", topic="Made-up users who send real commands")
        channel = next(iter(guild.channels.values()))
        if visitor.id not in guild.members:
            guild.add_member(visitor)
        guild_load = GuildLoad(guild, channel)
        for index in range(1, num_members + 1):
            user = self._world.get_or_add_user(f"{NAME.lower()}-{number}-{index}")
            user.global_name = _NAMES[(number * 7 + index) % len(_NAMES)]
            guild_load.members.append(guild.members.get(user.id) or guild.add_member(user))
        return guild_load

    # -- asking --------------------------------------------------------------------------------------

    async def _run(self, plan: LoadPlan) -> None:
        loop = asyncio.get_running_loop()
        weights = [plan.greed] + [1.0] * (len(self._guild_loads) - 1)
        next_ask = next_report = loop.time()
        period_s = 1 / plan.rate
        while self._is_asking or self._tasks or any(guild_load.waiting for guild_load in self._guild_loads):
            now = loop.time()
            if now >= next_ask:
                if self._is_asking and len(self._tasks) < MAX_UNANSWERED:
                    self._ask(random.choices(self._guild_loads, weights)[0], plan)
                # A machine that cannot keep up is not asked to catch up: that would only add to its load.
                next_ask = max(next_ask, now - period_s) + period_s
            if now >= next_report:
                self._report()
                next_report = now + 1
            await asyncio.sleep(max(0.0, min(next_ask, next_report) - loop.time()))

    def _ask(self, guild_load: GuildLoad, plan: LoadPlan) -> None:
        task = asyncio.create_task(self._make_request(guild_load, random.choice(guild_load.members), plan))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make_request(self, guild_load: GuildLoad, member: Member, plan: LoadPlan) -> None:
        guild_load.num_asked += 1
        asked_s = asyncio.get_running_loop().time()
        options = {name: _vary(value) for name, value in plan.options.items()}
        try:
            interaction = await self._act_as(member.user, guild_load.channel).slash(plan.command, **options)
        except ActionRefusedError:
            guild_load.num_refused += 1
            return
        if interaction.failed or interaction.ack_ms is None:
            guild_load.num_failed += 1
            return
        guild_load.acks_ms.append(interaction.ack_ms)
        request = PendingRequest(interaction, asked_s, asked_s)
        guild_load.waiting.append(request)
        self._by_interaction[interaction.id] = request

    # -- watching ------------------------------------------------------------------------------------

    def _hear(self, change: Change) -> None:
        message = change.message
        if message is not None and message.interaction is not None:
            request = self._by_interaction.get(message.interaction.id)
            if request is not None:
                request.changed_s = asyncio.get_running_loop().time()

    def _sweep(self, guild_load: GuildLoad, now_s: float) -> None:
        still = []
        for request in guild_load.waiting:
            message = request.interaction.original_message
            if message is None or (message.is_ephemeral and not message.is_loading):
                guild_load.num_refused += 1
            elif _is_done(message) and now_s - request.changed_s >= self.quiet_s:
                guild_load.num_finished += 1
                guild_load.num_files += len(message.attachments)
                guild_load.waits_s.append(request.changed_s - request.asked_s)
                guild_load.finished_at_s.append((now_s, len(message.attachments)))
            else:
                still.append(request)
                continue
            self._by_interaction.pop(request.interaction.id, None)
        guild_load.waiting = still

    def _report(self) -> None:
        now = asyncio.get_running_loop().time()
        for guild_load in self._guild_loads:
            self._sweep(guild_load, now)
        lately = [guild_load.count_recent_files(now) for guild_load in self._guild_loads]
        waiting = [len(guild_load.waiting) for guild_load in self._guild_loads]
        self._points.append({"files": lately, "waiting": waiting})
        self._tell()

    def _tell(self) -> None:
        view = self.view()
        for listener in list(self._listeners):
            listener(view)

    def view(self) -> Json:
        """Return the figures of each guild, and the last minutes as points a second apart."""
        return {
            "running": self.is_asking,
            "command": self._plan.command if self._plan else None,
            "guilds": [_build_guild_view(guild_load) for guild_load in self._guild_loads],
            "points": list(self._points),
            "windowS": WINDOW_S,
        }


def _build_guild_view(guild_load: GuildLoad) -> Json:
    return {
        "name": guild_load.guild.name,
        "channel": str(guild_load.channel.id),
        "asked": guild_load.num_asked,
        "waiting": len(guild_load.waiting),
        "finished": guild_load.num_finished,
        "files": guild_load.num_files,
        "refused": guild_load.num_refused,
        "failed": guild_load.num_failed,
        "waitS": median(guild_load.waits_s) if guild_load.waits_s else None,
        "ackP50Ms": median(guild_load.acks_ms) if guild_load.acks_ms else None,
        "ackP99Ms": quantiles(guild_load.acks_ms, n=100)[98] if len(guild_load.acks_ms) > 1 else None,
    }


def _is_done(message: Message) -> bool:
    return bool(message.attachments) and not message.is_loading


def _vary(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _ALTERNATIVES.sub(lambda found: random.choice(found[1].split("|")), value)
