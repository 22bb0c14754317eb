"""Retries work with growing pauses; meanwhile the operator can read what fails."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from generation.translatable import Phrase

log = logging.getLogger(__name__)
T = TypeVar("T")
_FIRST_WRITE_PAUSE_S, _LONGEST_WRITE_PAUSE_S = 0.1, 30.0
_stuck: set[object] = set()


class Problems:
    """What fails now, one sentence each by subject. `/healthz` and `/operator state` show them."""

    def __init__(self) -> None:
        self._sentences: dict[str, Phrase] = {}

    def set(self, subject: str, sentence: Phrase) -> None:
        self._sentences[subject] = sentence

    def clear(self, subject: str) -> None:
        self._sentences.pop(subject, None)

    def __iter__(self) -> Iterator[Phrase]:
        return iter(list(self._sentences.values()))


@dataclass(frozen=True, slots=True)
class Task:
    """Work that may fail and is tried again.

    `subject` names it in logs and among the problems; `problem` is what the operator reads while it fails. `is_final`
    says of which errors another try makes no sense: they are raised.
    """

    subject: str
    problem: Phrase
    first_pause_s: float
    longest_pause_s: float
    is_final: Callable[[Exception], bool] = lambda error: False


def double_pauses(first_s: float, longest_s: float) -> Iterator[float]:
    """Yield pauses without end, each twice as long as the one before, up to `longest_s`."""
    pause_s = first_s
    while True:
        yield pause_s
        pause_s = min(longest_s, pause_s * 2)


async def retry_until_success(task: Task, work: Callable[[], Awaitable[T]], problems: Problems) -> T:
    """Return what `work` returns, once it does. Its problem is gone when this ends, however it ends."""

    def report(error: Exception, pause_s: float) -> None:
        if task.is_final(error):
            raise error
        log.exception("action=%s-failed error=%s next_try_s=%.0f", task.subject, type(error).__name__, pause_s)
        problems.set(task.subject, task.problem)

    try:
        return await _repeat(work, double_pauses(task.first_pause_s, task.longest_pause_s), report)
    finally:
        problems.clear(task.subject)


async def retry_write(write: Callable[[], Awaitable[T]]) -> T:
    """Retry a write until it works, with growing pauses, when storage fails (full, locked)."""

    def report(error: Exception, pause_s: float) -> None:
        log.exception("action=storage-failed next_try_s=%.1f", pause_s)
        _stuck.add(write)

    try:
        return await _repeat(write, double_pauses(_FIRST_WRITE_PAUSE_S, _LONGEST_WRITE_PAUSE_S), report)
    finally:
        _stuck.discard(write)


def num_stuck() -> int:
    """Return the number of writes that storage has refused and that are being retried; above 0 is worth an alert."""
    return len(_stuck)


async def _repeat(
    work: Callable[[], Awaitable[T]], pauses: Iterator[float], report: Callable[[Exception, float], None]
) -> T:
    """Return what `work` returns, once it does. `report` is called for each error, and may raise it."""
    while True:
        try:
            return await work()
        except Exception as error:
            pause_s = next(pauses)
            report(error, pause_s)
        await asyncio.sleep(pause_s)


async def run_periodically(
    pause_s: float, task: Task, work: Callable[[], Awaitable[object]], problems: Problems
) -> NoReturn:
    """Do `work` now and at every interval, until cancelled, with failures retried as by `retry_until_success`."""
    while True:
        await retry_until_success(task, work, problems)
        await asyncio.sleep(pause_s)


def unwrap_group(failed: BaseException) -> BaseException:
    """Return the one error that ended a group of tasks; the group itself if there were several."""
    while isinstance(failed, BaseExceptionGroup) and len(failed.exceptions) == 1:
        failed = failed.exceptions[0]
    return failed
