"""Bars for long work on a terminal, below the lines that are printed meanwhile. Where there is no terminal: nothing.

They are on standard error, and are gone when the work is over: a result that is piped or kept never holds one.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from generation import progress
from generation.progress import Task

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

_PLAIN_TERMINALS = ("dumb", "unknown")
_LOOKS_PER_S = 5
_shown: Bars | None = None


@contextlib.contextmanager
def shown() -> Iterator[None]:
    """Show a bar for each task of this process while this lasts, if standard error is a terminal that can."""
    global _shown
    if _shown is not None or not _can_show(sys.stderr):
        yield
        return
    real = sys.stderr
    _shown = Bars(real)
    try:
        with _put_above(_shown, real), progress.watched_by(_shown.hear):
            yield
    finally:
        _shown.close()
        _shown = None


@contextlib.contextmanager
def aside() -> Iterator[None]:
    """Take the bars away while something is printed."""
    with _shown.aside() if _shown is not None else contextlib.nullcontext():
        yield


def _can_show(stream: TextIO) -> bool:
    is_plain = os.environ.get("TERM", "") in _PLAIN_TERMINALS or os.environ.get("TTY_INTERACTIVE") == "0"
    return stream.isatty() and not is_plain


class Bars:
    """The bars of the tasks that are under way. `rich` is loaded with the first."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._progress: Progress | None = None
        self._bars: dict[Task, TaskID] = {}

    def hear(self, task: Task) -> None:
        """Show a task, move its bar, or take it away."""
        with self._lock:
            if task.is_over:
                self._remove(task)
            elif task in self._bars:
                assert self._progress is not None
                self._progress.update(self._bars[task], completed=task.done, total=task.total)
            else:
                self._add(task)

    def _add(self, task: Task) -> None:
        if self._progress is None:
            self._progress = _build(self._stream)
        if not self._bars:
            self._progress.start()
        self._bars[task] = self._progress.add_task(task.what, total=task.total, is_bytes=task.is_bytes)

    def _remove(self, task: Task) -> None:
        bar = self._bars.pop(task, None)
        if bar is None or self._progress is None:
            return
        self._progress.remove_task(bar)
        if not self._bars:
            self._progress.stop()

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """Take the bars away while something is printed."""
        with self._lock:
            is_live = bool(self._bars) and self._progress is not None
            if is_live:
                self._progress.stop()  # type: ignore[union-attr]
            try:
                yield
            finally:
                if is_live:
                    self._progress.start()  # type: ignore[union-attr]

    def close(self) -> None:
        with self._lock:
            for task in list(self._bars):
                self._remove(task)


class _Above(io.TextIOBase):
    """A stream whose lines come above the bars."""

    def __init__(self, bars: Bars, real: TextIO) -> None:
        self._bars, self._real = bars, real

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._real.encoding

    def write(self, text: str) -> int:
        with self._bars.aside():
            return self._real.write(text)

    def flush(self) -> None:
        self._real.flush()

    def isatty(self) -> bool:
        return self._real.isatty()

    def fileno(self) -> int:
        return self._real.fileno()


@contextlib.contextmanager
def _put_above(bars: Bars, real: TextIO) -> Iterator[None]:
    """Have what is written to standard error, logs too, come above the bars."""
    above = _Above(bars, real)
    handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
    logged = [each for each in handlers if each.stream is real]
    for handler in logged:
        handler.setStream(above)
    sys.stderr = above
    try:
        yield
    finally:
        sys.stderr = real
        for handler in logged:
            handler.setStream(real)


def _build(stream: TextIO) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Task as Shown
    from rich.text import Text

    class Amount(ProgressColumn):
        """Megabytes or a share of the whole; nothing of what has no end."""

        def render(self, task: Shown) -> Text:
            if not task.total:
                return Text("")
            if task.fields["is_bytes"]:
                return Text(f"{task.completed / 1e6:,.1f} of {task.total / 1e6:,.1f} MB")
            return Text(f"{task.percentage:.0f} %")

    console = Console(file=stream)
    columns = (TextColumn("{task.description}"), BarColumn(), Amount(), TimeRemainingColumn())
    return Progress(
        *columns,
        console=console,
        transient=True,
        refresh_per_second=_LOOKS_PER_S,
        redirect_stdout=False,
        redirect_stderr=False,
    )
