"""The workers of this machine, as a cloud worker uses them: to check what comes back, and to paint what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from generation.errors import FailedError
from generation.jobs.protocol import Cancel, Cancelled, GenerateCommand, ImageFailed
from generation.workers.asked_worker import AskedWorker, Ending, Hear

_MAX_LOSSES = 2


class Helpers:
    """`within_s`: how long an order waits for a worker that is down."""

    def __init__(self, workers: Sequence[AskedWorker], *, within_s: float, monotonic: Callable[[], float]) -> None:
        self._workers, self._within_s, self._monotonic = workers, within_s, monotonic

    @property
    def is_up(self) -> bool:
        return any(each.num_slots for each in self._workers)

    async def cancel(self, cancel: Cancel) -> None:
        for each in self._workers:
            await each.cancel(cancel)

    async def ask(self, order: GenerateCommand, stop: asyncio.Event, hear: Hear) -> Ending:
        """Have a worker do an order, unless it is to stop. Raise `ConnectionError` if none is up, or two were lost."""
        ends_at_s = self._monotonic() + self._within_s
        num_losses = 0
        while num_losses < _MAX_LOSSES and self._monotonic() < ends_at_s:
            if stop.is_set():
                return stopped(order, evaluations=0)
            worker = next((each for each in self._workers if each.num_slots), None)
            if worker is None:
                await asyncio.sleep(min(1.0, self._within_s / 4))
                continue
            try:
                return await worker.ask(order, hear)
            except ConnectionError:
                num_losses += 1
        raise ConnectionError("no worker is up")


def stopped(order: GenerateCommand, *, evaluations: int | None = None) -> Cancelled:
    """Return the end of an image that was stopped. What was paid for is charged, like steps that were taken here."""
    done = order.spec.num_evaluations if evaluations is None else evaluations
    return Cancelled(image_id=order.image_id, attempt=order.attempt, evaluations=done)


def failed(order: GenerateCommand, error: type[FailedError], message: str) -> ImageFailed:
    return ImageFailed(image_id=order.image_id, attempt=order.attempt, error=error.code, message=message)
