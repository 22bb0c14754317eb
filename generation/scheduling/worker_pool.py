"""The workers behind the one fair queue. Members may come and go while it runs.

    events of each member's worker -> (name, event), one stream -> Dispatcher

A member on another machine is any `Worker`. What one that comes and goes has to do:

- *join*: `await pool.join(Member(name=..., worker=..., device=...))`. The pool tells it the present models, starts it
  and passes its events on. A name belongs to one member at a time; one that left may come back under its name.
- *be lost*: its worker reports `WorkerLost` when its engine, its machine or the way to it is gone, has `num_slots` 0
  from then on, and reports `Ready` when it is back. It stays a member. Of images admitted before a loss nothing may
  come any more; what comes all the same carries an old attempt and is dropped. The images of no other member are
  touched.
- *leave*: `pool.drain(name)` lets it end what it holds and gives it nothing new; `await pool.leave(name)` closes its
  worker. What it still held goes back to the line, and that counts as no loss.
- *be unfit*: a worker whose `start` or `events` raises `ConfigurationError` can never be up. It leaves; the others
  go on. The pool raises the error itself only where no member is left and none may join.

Times of its events are the bot's; a worker whose events come in batches says in `Progress.at_s` when each happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from generation.errors import ConfigurationError
from generation.jobs.ports import Worker
from generation.jobs.protocol import Event
from generation.models.catalog import Model

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A worker under a name that no other member has, and the device it runs on, in words for people."""

    name: str
    worker: Worker
    device: str = ""
    is_cloud: bool = False
    """It has pictures painted elsewhere, for money (`generation.scheduling.placement`)."""


@dataclass(frozen=True, slots=True)
class MemberLeft:
    """The last event of a member: it was closed, or can never be up. What it held is painted elsewhere."""

    reason: str


PoolEvent = Event | MemberLeft


class WorkerPool:
    """See the module's text. `is_open`: members may join later, so it is no error to be without any."""

    def __init__(self, members: Iterable[Member] = (), *, is_open: bool = False) -> None:
        self._is_open = is_open
        self._members = {each.name: each for each in members}
        self._draining: set[str] = set()
        self._unfit: dict[str, str] = {}
        self._models: tuple[Model, ...] | None = None
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._events: asyncio.Queue[tuple[str, PoolEvent] | ConfigurationError | None] = asyncio.Queue()
        self._is_started = False

    @property
    def members(self) -> tuple[Member, ...]:
        """Those that are in, up or not."""
        return tuple(self._members.values())

    @property
    def unfit(self) -> Mapping[str, str]:
        """Why members that can never be up have left, by name."""
        return MappingProxyType(self._unfit)

    @property
    def num_slots(self) -> int:
        """Images that all members together may hold; 0 while none is up."""
        return sum(each.worker.num_slots for each in self._members.values())

    def is_draining(self, name: str) -> bool:
        """Whether a member is given nothing new."""
        return name in self._draining

    async def start(self) -> None:
        """Start all members in the background. Raise `ConfigurationError` if none can start."""
        self._is_started = True
        await asyncio.gather(*(self._begin(member) for member in self.members))

    async def join(self, member: Member) -> None:
        """Take a member in. Raise `ValueError` if its name is taken."""
        if member.name in self._members:
            raise ValueError(f"there is a member {member.name} already")
        self._members[member.name] = member
        self._unfit.pop(member.name, None)
        if self._models is not None:
            await member.worker.update(self._models)
        if self._is_started:
            await self._begin(member)

    def drain(self, name: str) -> None:
        """Give a member nothing new; what it holds ends there."""
        self._draining.add(name)

    async def leave(self, name: str, reason: str = "it left") -> None:
        """Close a member and let it go. Its images go back to the line. Nothing happens if it is not in."""
        member = self._members.get(name)
        if member is None:
            return
        self._draining.add(name)
        await member.worker.close()
        if (listening := self._listening.pop(name, None)) is not None:
            await listening
        self._remove(name, reason)

    async def update(self, models: tuple[Model, ...]) -> None:
        """Offer these models from now on, at every member and at those that join later."""
        self._models = models
        await asyncio.gather(*(member.worker.update(models) for member in self.members))

    async def events(self) -> AsyncIterator[tuple[str, PoolEvent]]:
        """Yield what members report, each in order. One reader; ends after `close`.

        Raise `ConfigurationError` if no member can ever be up.
        """
        while (said := await self._events.get()) is not None:
            if isinstance(said, ConfigurationError):
                raise said
            yield said

    async def close(self) -> None:
        """Stop all members. Safe to call twice."""
        await asyncio.gather(*(member.worker.close() for member in self.members))
        for listening in self._listening.values():
            await listening
        self._events.put_nowait(None)

    async def _begin(self, member: Member) -> None:
        try:
            await member.worker.start()
        except ConfigurationError as unfit:
            self._drop_unfit(member.name, unfit)
            if not self._members and not self._is_open:
                raise
            return
        self._listening[member.name] = asyncio.create_task(self._listen(member), name=f"listen to {member.name}")

    async def _listen(self, member: Member) -> None:
        try:
            async for event in member.worker.events():
                self._events.put_nowait((member.name, event))
        except ConfigurationError as unfit:
            self._listening.pop(member.name, None)
            self._drop_unfit(member.name, unfit)
            if not self._members and not self._is_open:
                self._events.put_nowait(unfit)

    def _drop_unfit(self, name: str, error: ConfigurationError) -> None:
        log.error("member=%s action=member-unfit reason=%s", name, error)
        self._unfit[name] = str(error)
        self._remove(name, str(error))

    def _remove(self, name: str, reason: str) -> None:
        del self._members[name]
        self._draining.discard(name)
        self._events.put_nowait((name, MemberLeft(reason)))
