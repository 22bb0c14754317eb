"""How far this process has come with long silent work, such as hashing or loading a large model, and who watches it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass

_MIB = 2**20
_done = 0


@dataclass(slots=True, eq=False)
class Task:
    """A piece of long work. `total` is None where it is not known; `is_bytes`: it counts bytes."""

    what: str
    total: int | None = None
    is_bytes: bool = False
    done: int = 0
    is_over: bool = False

    def move(self, done: int) -> None:
        """Note how much is done now."""
        self.done = done
        _watch(self)

    def end(self) -> None:
        self.is_over = True
        _watch(self)


Watcher = Callable[[Task], None]
"""Hears of a task when it begins, moves and is over. Calls may come from several threads."""
_ignore: Watcher = lambda task: None  # noqa: E731
_watch = _ignore
_current: ContextVar[Task | None] = ContextVar("task", default=None)


@contextlib.contextmanager
def watched_by(watcher: Watcher) -> Iterator[None]:
    """Have `watcher` hear of every task of this process while this lasts."""
    global _watch
    before, _watch = _watch, watcher
    try:
        yield
    finally:
        _watch = before


def begin(what: str, total: int | None = None, *, is_bytes: bool = False) -> Task:
    """Return a task that has begun. Its holder moves it and ends it."""
    task = Task(what, total, is_bytes)
    _watch(task)
    return task


@contextlib.contextmanager
def task(what: str, total: int | None = None, *, is_bytes: bool = False) -> Iterator[Task]:
    """Have a task for as long as this lasts. Where it counts bytes, `advance` moves it."""
    begun = begin(what, total, is_bytes=is_bytes)
    token = _current.set(begun if is_bytes else None)
    try:
        yield begun
    finally:
        _current.reset(token)
        begun.end()


def advance(amount: int = 1) -> None:
    """Note that a piece of such work is done."""
    global _done
    _done += amount
    if (current := _current.get()) is not None:
        current.move(current.done + amount)


def measure() -> tuple[int, int]:
    """Return two numbers that grow while such work gets on: what was noted, and the MiB that were read from disk.

    Libraries load a part of a model in one call; where the disk is slow, that shows in the second number alone.
    """
    import psutil  # only here: the shell's commands answer at once

    read_bytes = 0
    with contextlib.suppress(psutil.Error, OSError, AttributeError):  # not every system counts
        read_bytes = psutil.Process().io_counters().read_bytes
    return _done, read_bytes // _MIB
