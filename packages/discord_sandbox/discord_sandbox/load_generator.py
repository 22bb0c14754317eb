"""A crowd: many made-up people in made-up servers who all want something at once.

It shows how a bot shares what it has: a server that asks five times as often, should it get five times as
much? The crowd knows nothing of the bot: an answer counts as finished when it carries files and has not
changed for `QUIET_S`, and then its last change is when it was finished.
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

# What the made-up servers and people are called.
CROWD = "Crowd"
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
    """Who asks for what how often: `rate` is requests a second of all together.

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
            raise ActionRefusedError(f"1 to {MAX_GUILDS} servers of 1 to {MAX_MEMBERS} people")
        if not (0 < self.rate <= MAX_RATE and 0 < self.greed <= 1000):
            raise ActionRefusedError(f"at most {MAX_RATE:.0f} requests a second")


@dataclass(eq=False)
class PendingRequest:
    """One request of the crowd, until it is finished."""

    interaction: Interaction
    asked_s: float
    changed_s: float


@dataclass(eq=False)
class GuildLoad:
    """One server of the crowd, and how it fares."""

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

    def files_lately(self, now_s: float) -> int:
        """Files finished within the last `WINDOW_S` seconds."""
        while self.finished_at_s and self.finished_at_s[0][0] < now_s - WINDOW_S:
            self.finished_at_s.popleft()
        return sum(count for _, count in self.finished_at_s)


class LoadGenerator:
    """Runs one plan at a time and tells its listeners once a second how it goes."""

    def __init__(self, world: World, act_as: Callable[[User, Channel], ScriptedUser]) -> None:
        self._world = world
        self._act_as = act_as
        self._camps: list[GuildLoad] = []
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
        """Call `listener` with a view once a second; the answer stops it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def is_asking(self) -> bool:
        """Whether new requests are still made; the old ones are counted until nobody waits."""
        return self._is_asking and self._runner is not None and not self._runner.done()

    # -- starting and stopping -----------------------------------------------------------------------

    async def start(self, plan: LoadPlan, visitor: User) -> None:
        """Begin; `visitor` becomes a member everywhere, to look on. Ends an earlier plan."""
        await self.close()
        self._plan = plan
        self._is_asking = True
        self._points.clear()
        self._camps = [self._camp(number, plan.num_members, visitor) for number in range(1, plan.num_guilds + 1)]
        self._runner = asyncio.create_task(self._run(plan))

    def stop(self) -> None:
        """Ask for nothing more; who waits is watched until they have it."""
        self._is_asking = False
        self._tell()

    async def close(self) -> None:
        """End it all."""
        self._is_asking = False
        for task in [self._runner, *self._tasks]:
            if task is not None and not task.done():
                task.cancel()
        if self._runner is not None:
            await asyncio.gather(self._runner, *self._tasks, return_exceptions=True)
        self._runner = None
        self._by_interaction.clear()

    def _camp(self, number: int, num_members: int, visitor: User) -> GuildLoad:
        name = f"{CROWD} {number}"
        guild = next((g for g in self._world.guilds.values() if g.name == name), None)
        if guild is None:
            guild = self._world.add_guild(name)
            guild.add_channel("crowd", topic="Made-up people, asking for real")
        channel = next(iter(guild.channels.values()))
        if visitor.id not in guild.members:
            guild.add_member(visitor)
        camp = GuildLoad(guild, channel)
        for index in range(1, num_members + 1):
            user = self._world.user_named(f"{CROWD.lower()}-{number}-{index}")
            user.global_name = _NAMES[(number * 7 + index) % len(_NAMES)]
            camp.members.append(guild.members.get(user.id) or guild.add_member(user))
        return camp

    # -- asking --------------------------------------------------------------------------------------

    async def _run(self, plan: LoadPlan) -> None:
        loop = asyncio.get_running_loop()
        weights = [plan.greed] + [1.0] * (len(self._camps) - 1)
        next_ask = next_report = loop.time()
        period_s = 1 / plan.rate
        while self._is_asking or self._tasks or any(camp.waiting for camp in self._camps):
            now = loop.time()
            if now >= next_ask:
                if self._is_asking and len(self._tasks) < MAX_UNANSWERED:
                    self._ask(random.choices(self._camps, weights)[0], plan)
                # A machine that cannot keep up is not asked to catch up: that would only add to its load.
                next_ask = max(next_ask, now - period_s) + period_s
            if now >= next_report:
                self._report()
                next_report = now + 1
            await asyncio.sleep(max(0.0, min(next_ask, next_report) - loop.time()))

    def _ask(self, camp: GuildLoad, plan: LoadPlan) -> None:
        task = asyncio.create_task(self._wish(camp, random.choice(camp.members), plan))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wish(self, camp: GuildLoad, member: Member, plan: LoadPlan) -> None:
        camp.num_asked += 1
        asked_s = asyncio.get_running_loop().time()
        options = {name: _vary(value) for name, value in plan.options.items()}
        try:
            interaction = await self._act_as(member.user, camp.channel).slash(plan.command, **options)
        except ActionRefusedError:
            camp.num_refused += 1
            return
        if interaction.failed or interaction.ack_ms is None:
            camp.num_failed += 1
            return
        camp.acks_ms.append(interaction.ack_ms)
        wish = PendingRequest(interaction, asked_s, asked_s)
        camp.waiting.append(wish)
        self._by_interaction[interaction.id] = wish

    # -- watching ------------------------------------------------------------------------------------

    def _hear(self, change: Change) -> None:
        message = change.message
        if message is not None and message.interaction is not None:
            wish = self._by_interaction.get(message.interaction.id)
            if wish is not None:
                wish.changed_s = asyncio.get_running_loop().time()

    def _sweep(self, camp: GuildLoad, now_s: float) -> None:
        still = []
        for wish in camp.waiting:
            message = wish.interaction.original_message
            if message is None or (message.is_ephemeral and not message.is_loading):
                camp.num_refused += 1
            elif _is_done(message) and now_s - wish.changed_s >= self.quiet_s:
                camp.num_finished += 1
                camp.num_files += len(message.attachments)
                camp.waits_s.append(wish.changed_s - wish.asked_s)
                camp.finished_at_s.append((now_s, len(message.attachments)))
            else:
                still.append(wish)
                continue
            self._by_interaction.pop(wish.interaction.id, None)
        camp.waiting = still

    def _report(self) -> None:
        now = asyncio.get_running_loop().time()
        for camp in self._camps:
            self._sweep(camp, now)
        lately = [camp.files_lately(now) for camp in self._camps]
        waiting = [len(camp.waiting) for camp in self._camps]
        self._points.append({"files": lately, "waiting": waiting})
        self._tell()

    def _tell(self) -> None:
        view = self.view()
        for listener in list(self._listeners):
            listener(view)

    def view(self) -> Json:
        """How each server fares, and the last minutes as points a second apart."""
        return {
            "running": self.is_asking,
            "command": self._plan.command if self._plan else None,
            "camps": [_camp_view(camp) for camp in self._camps],
            "points": list(self._points),
            "windowS": WINDOW_S,
        }


def _camp_view(camp: GuildLoad) -> Json:
    return {
        "name": camp.guild.name,
        "channel": str(camp.channel.id),
        "asked": camp.num_asked,
        "waiting": len(camp.waiting),
        "finished": camp.num_finished,
        "files": camp.num_files,
        "refused": camp.num_refused,
        "failed": camp.num_failed,
        "waitS": median(camp.waits_s) if camp.waits_s else None,
        "ackP50Ms": median(camp.acks_ms) if camp.acks_ms else None,
        "ackP99Ms": quantiles(camp.acks_ms, n=100)[98] if len(camp.acks_ms) > 1 else None,
    }


def _is_done(message: Message) -> bool:
    return bool(message.attachments) and not message.is_loading


def _vary(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return _ALTERNATIVES.sub(lambda found: random.choice(found[1].split("|")), value)
