"""The bot's side of one member of a fleet: a `Worker` whose engine is on another machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

import msgspec

from generation.fleet.messages import (
    BotMessage,
    FromMember,
    Life,
    MemberState,
    ReleaseMember,
    Said,
    ToMember,
    decode_said,
    encode_body,
)
from generation.jobs.protocol import (
    Cancel,
    Cancelled,
    Event,
    Finished,
    GenerateCommand,
    ImageFailed,
    LargestPx,
    LoadedModelInfo,
    Progress,
    Ready,
    WorkerLost,
)
from generation.models.catalog import Model
from generation.requests.recipe import Fingerprint
from generation.workers.frames import StartupFailed
from generation.workers.local import EngineStartError

Send = Callable[[BotMessage], Awaitable[None]]
Offer = Callable[[tuple[Model, ...]], Awaitable[None]]


class RemoteWorker:
    """`send` takes a message to the driver, `offer` models for all members. `Fleet` calls `hear` and `lose`."""

    def __init__(self, name: str, actor: str, *, send: Send, offer: Offer) -> None:
        self.name, self.actor = name, actor
        self._send, self._offer = send, offer
        self._events: asyncio.Queue[Event | EngineStartError | None] = asyncio.Queue()
        self._ready: Ready | None = None
        self._state: MemberState | None = None
        self._life = Life(0)
        self._resident: set[tuple[str, int]] = set()
        self.is_over = False
        """Closed or unfit: its events have ended."""

    @property
    def num_slots(self) -> int:
        return self._ready.num_slots if self._ready else 0

    @property
    def fingerprint(self) -> Fingerprint | None:
        return self._ready.fingerprint if self._ready else None

    @property
    def model_sha256(self) -> Mapping[str, str]:
        if self._ready is None:
            return MappingProxyType({})
        said = self._state.report.model_sha256 if self._state is not None else {}
        return MappingProxyType(said or self._ready.model_sha256)

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        return self._state.report.loaded if self._ready is not None and self._state is not None else ()

    @property
    def largest_px(self) -> Mapping[str, LargestPx]:
        return self._state.report.largest_px if self._ready is not None and self._state is not None else {}

    @property
    def missing(self) -> Mapping[str, str]:
        """What the bot offers and its machine cannot paint with, and why."""
        return MappingProxyType(self._state.missing if self._state is not None else {})

    @property
    def pid(self) -> int | None:
        """Of the engine's process on its machine, for tests."""
        return self._state.pid if self._state is not None else None

    @property
    def is_draining(self) -> bool:
        return self._state is not None and self._state.is_draining

    @property
    def is_idle(self) -> bool:
        """Whether it holds no image."""
        return not self._resident

    async def start(self) -> None:
        """Do nothing: its machine has it running, and `Ready` follows."""

    async def admit(self, order: GenerateCommand) -> None:
        if self._ready is None:
            raise ConnectionError("no engine is up")
        self._resident.add((order.image_id, order.attempt))
        await self._tell(order)

    async def cancel(self, cancel: Cancel) -> None:
        if self._ready is not None:
            await self._tell(cancel)

    async def update(self, models: tuple[Model, ...]) -> None:
        await self._offer(models)

    async def events(self) -> AsyncIterator[Event]:
        """Yield what the member reports. Raise `EngineStartError` if its engine cannot be built there."""
        while (event := await self._events.get()) is not None:
            if isinstance(event, EngineStartError):
                raise event
            yield event

    async def close(self) -> None:
        """Let go of the member. Its engine stays warm, unless its machine is drained."""
        if not self.is_over:
            self.is_over = True
            self._ready = None
            await self._send(ReleaseMember(member=self.name, actor=self.actor))
            self._events.put_nowait(None)

    def hear(self, said: FromMember) -> None:
        """Take in what the member says."""
        if said.state is not None:
            self._state = said.state
        for event in decode_said(said.body):
            if isinstance(event, Progress) and event.at_s is not None:
                event = msgspec.structs.replace(event, at_s=event.at_s + said.shift_s)
            self._hear_event(event)
        self._life = said.life

    def lose(self, reason: str) -> None:
        """Report the member as lost: the way to it is gone."""
        if self._ready is not None:
            self._hear_event(WorkerLost(reason=reason))

    def _hear_event(self, event: Said) -> None:
        if self.is_over:
            return
        if isinstance(event, StartupFailed):
            self.is_over = True
            self._ready = None
            self._events.put_nowait(EngineStartError(why=f"{self.name}: {event.message}"))
            return
        if isinstance(event, Ready):
            self._ready = event
        elif isinstance(event, WorkerLost):
            self._ready = None
            self._resident.clear()
        elif isinstance(event, Finished | Cancelled | ImageFailed):
            self._resident.discard((event.image_id, event.attempt))
        self._events.put_nowait(event)

    async def _tell(self, command: GenerateCommand | Cancel) -> None:
        await self._send(ToMember(member=self.name, life=self._life, body=encode_body(command)))
