"""One member as the Ray driver holds it: finds or makes its actor, attaches, polls, and gives up what does not answer.

Ray notices a process that is gone, not one that hangs nor a network that swallows: every call has a deadline here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from generation.fleet.messages import (
    Attached,
    DriverConfig,
    FromMember,
    Life,
    MemberSeen,
    MemberState,
    Refused,
    decode_attached,
    decode_polled,
    encode_body,
)
from generation.fleet.ray_actor import RayWorkerActor
from generation.jobs.protocol import WorkerLost

log = logging.getLogger(__name__)
NAMESPACE = "atelier"
_RETRY_S = 0.2
_UNAVAILABLE = 5
"""So many times in a row a member may be out of reach before it counts as lost."""


class RefusedError(Exception):
    """A member does not work for this bot."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.reason)
        self.is_outdated = refused.is_outdated


@dataclass(frozen=True, slots=True)
class Place:
    """Where an actor runs: one card of one machine."""

    seen: MemberSeen
    node_id: str
    machine: str
    num_gpus: int


def make_actor(place: Place, config: DriverConfig) -> Any:
    """Return the actor at that place, which an earlier bot may have left there, or a new one. Blocks.

    `max_task_retries=0`: Ray must not give an order again that killed its process; who tries it again, and where, is
    the dispatcher's to say.
    """
    return (
        ray.remote(RayWorkerActor)
        .options(
            name=place.seen.actor,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=64,
            num_cpus=0,
            num_gpus=place.num_gpus,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node_id, soft=False),
        )
        .remote(machine=place.machine, orphan_s=config.orphan_s, leave_s=config.leave_s)
    )


async def call(method: Any, *arguments: object, within_s: float) -> Any:
    """Call a method of an actor. Raise `TimeoutError` if it does not answer in time."""
    async with asyncio.timeout(within_s):
        return await method.remote(*arguments)


@dataclass(slots=True)
class MemberConnection:
    """See the module's text. `send` gives a message to the bot; `refuse` notes why the member cannot be used."""

    place: Place
    config: DriverConfig
    send: Callable[[FromMember], None]
    refuse: Callable[[str, str], Awaitable[None]]
    _actor: Any = None
    _after: int = 0
    _num_losses: int = 0
    _life: int = 0
    _is_attached: bool = False
    _was_attached: bool = True
    _commands: asyncio.Queue[tuple[int, bytes]] = field(default_factory=asyncio.Queue)
    """Each with the number of losses that its bot had heard of when it was given."""
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.place.seen.name

    async def run(self) -> None:
        """Hold the member until cancelled."""
        pause_s = _RETRY_S
        while True:
            pause_s = _RETRY_S if self._was_attached else min(2 * pause_s, self.config.refused_s)
            self._was_attached = False
            try:
                await self._attach()
                await self._work()
            except RefusedError as refused:
                self._lose(str(refused))
                await self.refuse(self.name, str(refused))
                if refused.is_outdated:
                    await self._kill()  # the next is made by what is installed then
                pause_s = self.config.refused_s
            except PermissionError as fenced:
                self._lose("another bot has taken it")
                await self.refuse(self.name, str(fenced).strip().rsplit("\n", 1)[-1])
                pause_s = self.config.refused_s
            except TimeoutError:
                self._lose("it did not answer in time")
                await self._kill()
            except RayError as error:
                self._lose(_describe(error))
            await asyncio.sleep(pause_s)

    def give(self, life: Life, body: bytes) -> None:
        """Pass on a command, unless its bot had not heard of the newest loss when it was given."""
        if self._is_attached and life == self._life:
            self._commands.put_nowait((self._num_losses, body))

    def offer(self, config: DriverConfig, update: bytes) -> None:
        """Have the member offer other models, at once and whenever it is attached."""
        self.config = config
        self.give(Life(self._life), update)

    async def release(self) -> None:
        """Let go of the member, which may be gone; hold it again as soon as it lets itself be held."""
        if self._is_attached:
            try:
                await call(self._actor.release, self.config.epoch, within_s=self.config.wait_s)
            except (RayError, TimeoutError, PermissionError) as error:
                log.warning("member=%s action=release-failed reason=%s", self.name, type(error).__name__)
            self._lose("it was let go")
            self._released.set()

    async def _attach(self) -> None:
        config = self.config
        self._actor = await asyncio.wait_for(asyncio.to_thread(make_actor, self.place, config), config.start_s)
        answer = await call(
            self._actor.attach,
            config.epoch,
            config.version.program,
            config.version.code,
            config.worker,
            within_s=config.start_s if not self._life else max(2 * config.wait_s, config.start_s / 3),
        )
        attached = decode_attached(answer)
        if not isinstance(attached, Attached):
            raise RefusedError(attached)
        self._after, self._num_losses = attached.after, attached.num_losses
        self._life += 1
        self._commands = asyncio.Queue()
        self._is_attached = self._was_attached = True
        await self.refuse(self.name, "")
        self._tell(attached.body, attached.state)

    async def _work(self) -> None:
        """Poll and pass on commands, until either fails or the member is released."""
        self._released.clear()
        works = (self._poll(), self._pass_on(), self._released.wait())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _poll(self) -> None:
        failures = 0
        wait_s = self.config.wait_s
        while True:
            try:
                answer = await call(self._actor.poll, self.config.epoch, self._after, wait_s, within_s=2 * wait_s)
            except ActorUnavailableError:  # perhaps the network alone: nothing was forgotten, so ask again
                failures += 1
                if failures > _UNAVAILABLE:
                    raise
                await asyncio.sleep(_RETRY_S)
                continue
            failures = 0
            polled = decode_polled(answer)
            self._after = polled.last
            if polled.num_losses != self._num_losses:
                self._num_losses = polled.num_losses
                self._life += 1
            self._tell(polled.body, polled.state, shift_s=time.monotonic() - polled.now_s)

    async def _pass_on(self) -> None:
        """Give the commands in their order. One that does not get there is a loss: the bot counts on it."""
        while True:
            num_losses, body = await self._commands.get()
            within_s = 2 * self.config.wait_s
            await call(self._actor.command, self.config.epoch, num_losses, body, within_s=within_s)

    def _tell(self, body: bytes, state: MemberState | None, *, shift_s: float = 0.0) -> None:
        seen, life = self.place.seen, Life(self._life)
        self.send(FromMember(member=seen.name, actor=seen.actor, life=life, body=body, state=state, shift_s=shift_s))

    def _lose(self, reason: str) -> None:
        if self._is_attached:
            self._is_attached = False
            self._life += 1
            self._tell(encode_body([WorkerLost(reason=reason)]), None)

    async def _kill(self) -> None:
        """End an actor that does not answer, or that is of another version; the next attach makes another."""
        if self._actor is not None:
            await asyncio.to_thread(ray.kill, self._actor, no_restart=True)
            self._actor = None


def _describe(error: RayError) -> str:
    """Return why a member was lost, in a few words."""
    if isinstance(error, ActorUnavailableError):
        return "its process is out of reach"
    if isinstance(error, ActorDiedError):
        return "its process is gone"
    if isinstance(error, RayTaskError):
        return f"{error.cause}"[:200]
    return str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
