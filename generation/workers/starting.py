"""What a worker process does until its engine is up, as its parent can show it: loading, and measuring the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from generation import progress
from generation.progress import Task

Said = TypeVar("Said")


class Starting(msgspec.Struct, frozen=True, tag=True):
    """A task of a process that starts: see `generation.progress.Task`."""

    what: str
    total: int | None
    done: int
    is_over: bool


@contextmanager
def reported_by(send: Callable[[Starting], None]) -> Iterator[None]:
    """Send the tasks of this process while this lasts."""
    with progress.watched_by(lambda task: send(Starting(task.what, task.total, task.done, task.is_over))):
        yield


class StartWatch:
    """A start, as one task of this process: that of the other process which began last."""

    def __init__(self) -> None:
        self._whole = progress.begin("Starting the engine")
        self._part: Task | None = None

    def watch(self, said: list[Said] | Starting) -> list[Said]:
        """Return the events that the process sent, none of them of its start. The first that there are end that."""
        if isinstance(said, Starting):
            self._hear(said)
            return []
        if said:
            self.end()
        return said

    def _hear(self, said: Starting) -> None:
        if self._part is None or self._part.what != said.what:
            self._end_part()
            self._part = progress.begin(said.what, said.total)
        self._part.move(said.done)
        if said.is_over:
            self._end_part()

    def end(self) -> None:
        """Note that the engine is up, or never will be. Safe to call twice."""
        self._end_part()
        if not self._whole.is_over:
            self._whole.end()

    def _end_part(self) -> None:
        if self._part is not None:
            self._part.end()
        self._part = None
