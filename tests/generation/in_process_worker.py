"""A worker without a process: the light engine in this one, which tests lose, bring back and hold as they like."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec

from bench.light_engine import LightEngine
from generation.errors import ConfigurationError
from generation.jobs.protocol import (
    Cancel,
    Event,
    Finished,
    GenerateCommand,
    LargestPx,
    LoadedModelInfo,
    Ready,
    WorkerLost,
)
from generation.models.catalog import Model
from generation.requests.recipe import Fingerprint
from generation.workers.engine_settings import EngineSettings


class InProcessWorker:
    """The `Worker` port over a `LightEngine`. While `is_held` no image gets on."""

    def __init__(
        self, models: tuple[Model, ...], *, card: str = "light", num_slots: int = 4, is_held: bool = False
    ) -> None:
        self.models, self._card, self._slots = models, card, num_slots
        self.is_held = is_held
        self.admitted: list[GenerateCommand] = []
        self.engine: LightEngine | None = None
        self.unfit: ConfigurationError | None = None
        """What its start says, if it can never be up."""
        self._events: asyncio.Queue[Event | ConfigurationError | None] = asyncio.Queue()
        self._stepping: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()

    @property
    def num_slots(self) -> int:
        return self._slots if self.engine else 0

    @property
    def fingerprint(self) -> Fingerprint | None:
        return Fingerprint({"engine": self._card}) if self.engine else None

    @property
    def model_sha256(self) -> Mapping[str, str]:
        return self.engine.model_sha256 if self.engine else {}

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        return ()

    @property
    def largest_px(self) -> Mapping[str, LargestPx]:
        return {}

    async def start(self) -> None:
        if self.unfit is not None:
            self._events.put_nowait(self.unfit)
        else:
            self.come_back()

    def come_back(self) -> None:
        self.engine = LightEngine(self.models, EngineSettings())
        sha256, fingerprint = dict(self.engine.model_sha256), Fingerprint({"engine": self._card})
        self._events.put_nowait(Ready(num_slots=self._slots, fingerprint=fingerprint, model_sha256=sha256))
        self._stepping = asyncio.create_task(self._step(self.engine))

    def lose(self, reason: str = "it was unplugged") -> None:
        self._end()
        self._events.put_nowait(WorkerLost(reason=reason))

    def say(self, event: Event) -> None:
        """Report something, whether it is true or not."""
        self._events.put_nowait(event)

    def hold(self, is_held: bool) -> None:
        self.is_held = is_held
        self._wake.set()

    async def admit(self, order: GenerateCommand) -> None:
        if self.engine is None:
            raise ConnectionError("no engine is up")
        self.admitted.append(order)
        self.engine.admit(order)
        self._wake.set()

    async def cancel(self, cancel: Cancel) -> None:
        for event in self.engine.cancel(cancel) if self.engine else ():
            self._events.put_nowait(event)

    async def update(self, models: tuple[Model, ...]) -> None:
        self.models = models
        if self.engine is not None:
            self.engine.update(models)

    async def events(self) -> AsyncIterator[Event]:
        while (event := await self._events.get()) is not None:
            if isinstance(event, ConfigurationError):
                raise event
            yield event

    async def close(self) -> None:
        self._end()
        self._events.put_nowait(None)

    def _end(self) -> None:
        self.engine = None
        if self._stepping is not None:
            self._stepping.cancel()

    async def _step(self, engine: LightEngine) -> None:
        while True:
            while engine.is_idle or self.is_held:
                self._wake.clear()
                await self._wake.wait()
            for event in engine.step():
                self._events.put_nowait(self._named(event))
            await asyncio.sleep(0)

    def _named(self, event: Event) -> Event:
        if not isinstance(event, Finished):
            return event
        [sha256] = {self.model_sha256[each.spec.model] for each in self.admitted if each.image_id == event.image_id}
        return msgspec.structs.replace(event, fingerprint=self.fingerprint, model_sha256=sha256)
