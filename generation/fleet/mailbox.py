"""Events with numbers, kept until the reader says that it has them: a lost answer loses none. Pure asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass

from generation.fleet.messages import Said
from generation.jobs.protocol import Progress, WorkerLost


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """One event, its number, and how many `WorkerLost` there were up to it."""

    number: int
    said: Said
    num_losses: int


class Mailbox:
    """One reader polls; `wake` answers its poll, or its next, though there is nothing."""

    def __init__(self) -> None:
        self._events: deque[NumberedEvent] = deque()
        self._last = 0
        self._more = asyncio.Event()
        self.num_losses = 0

    @property
    def last(self) -> int:
        """The number of the newest event."""
        return self._last

    def put(self, said: Said) -> None:
        self.num_losses += isinstance(said, WorkerLost)
        self._last += 1
        self._events.append(NumberedEvent(self._last, said, self.num_losses))
        self._more.set()

    def wake(self) -> None:
        self._more.set()

    def clear(self) -> None:
        """Forget all events: a new reader starts with those to come."""
        self._events.clear()

    async def poll(self, after: int, wait_s: float) -> list[NumberedEvent]:
        """Return the events after number `after`, and forget those up to it. Wait for one for at most `wait_s`.

        Of progress that piled up, the newest of each image is enough.
        """
        while self._events and self._events[0].number <= after:
            self._events.popleft()
        if not self._events:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._more.wait(), wait_s)
        self._more.clear()
        return _drop_outdated(list(self._events))


def _drop_outdated(events: list[NumberedEvent]) -> list[NumberedEvent]:
    newest = {each.said.image_id: each.number for each in events if isinstance(each.said, Progress)}
    return [each for each in events if not isinstance(each.said, Progress) or newest[each.said.image_id] == each.number]
