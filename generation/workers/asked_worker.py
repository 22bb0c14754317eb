"""A local worker that does orders of another worker too, and keeps what comes of them out of its own events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from generation.jobs.protocol import (
    Cancelled,
    Event,
    Finished,
    GenerateCommand,
    ImageFailed,
    Preview,
    Progress,
    Ready,
    WorkerLost,
)
from generation.workers.local import LocalWorker

Ending = Finished | Cancelled | ImageFailed
Hear = Callable[[Progress | Preview], None]


class AskedWorker(LocalWorker):
    """See the module's text."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._asked: dict[tuple[str, int], tuple[asyncio.Future[Ending], Hear]] = {}

    async def ask(self, order: GenerateCommand, hear: Hear) -> Ending:
        """Do an order and return how it ended; `hear` is told of its progress.

        Raise `ConnectionError` if no engine is up, or it is lost meanwhile.
        """
        key = (order.image_id, order.attempt)
        future: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        self._asked[key] = future, hear
        try:
            await self.admit(order)
            return await future
        finally:
            self._asked.pop(key, None)

    async def events(self) -> AsyncIterator[Event]:
        try:
            async for event in super().events():
                if isinstance(event, WorkerLost):
                    self._lose_asked()
                if isinstance(event, Ready | WorkerLost) or not self._take(event):
                    yield event
        finally:
            self._lose_asked()

    def _take(self, event: Finished | Cancelled | ImageFailed | Progress | Preview) -> bool:
        """Return whether the event is of an order of another worker, which hears of it."""
        found = self._asked.get((event.image_id, event.attempt))
        if found is None:
            return False
        future, hear = found
        if isinstance(event, Progress | Preview):
            hear(event)
        elif not future.done():
            future.set_result(event)
        return True

    def _lose_asked(self) -> None:
        for future, _ in self._asked.values():
            if not future.done():
                future.set_exception(ConnectionError("the engine was lost"))
