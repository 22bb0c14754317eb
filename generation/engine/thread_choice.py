"""Chooses by measurement whether a forward runs on all of its threads or on half of them.

Threads wait for each other at the end of every operation. The operations of a small network are short: two idle cores
are hardly faster with it than one, and two that other programs use as well are far slower. Neither the number of cores
nor the network tells which it is, and it changes with the load. So forwards are timed as they run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

_NUM_TIMES = 3
"""Forwards of which the fastest counts: those that something interrupts for a moment decide nothing."""
_FIRST_TIMES = 2
"""The first forward of a kind prepares what the next ones use."""
_LONG_S = 2.0
"""Operations of a forward that takes so long are long, too: threads hardly wait, and to try half of them is dear."""
_PAYS = 1.05
"""So many times as fast must all threads be: half of them leave the rest to others."""
_REST = 50
"""What was slower is tried again after so many times the seconds that it loses: two parts of a hundred of the time."""
_MOST_KINDS = 64


@dataclass(slots=True)
class _Times:
    """The last times of one number of threads."""

    seconds: tuple[float, ...] = ()
    """Never changed, but replaced: lanes add to it while another thread reads."""
    ended_s: float = 0.0


class ThreadChoice:
    """The times of forwards, by kind: what makes them alike, and the threads that they may have."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._times: dict[tuple[Hashable, int], dict[int, _Times]] = {}

    def choose(self, kind: Hashable, most: int) -> int:
        """Return the threads of the next forward of that kind, which may have up to `most`."""
        if most < 2:
            return most
        times = self._get_times(kind, most)
        every, half = times[most], times[most // 2]
        if len(every.seconds) < _FIRST_TIMES or (every_s := min(every.seconds)) > _LONG_S:
            return most
        if not half.seconds:
            return most // 2
        half_s = min(half.seconds)
        is_faster = half_s > _PAYS * every_s
        slower = half if is_faster else every
        tries_slower = self._clock() - slower.ended_s > _REST * abs(half_s - every_s)
        return most if is_faster != tries_slower else most // 2

    def timing(self, kind: Hashable, most: int, threads: int, run: Callable[[], Any]) -> Callable[[], Any]:
        """Return a function that does `run` on so many threads, and keeps how long that took."""

        def timed() -> Any:
            began_s = self._clock()
            result = run()
            if (times := self._times.get((kind, most), {}).get(threads)) is not None:
                times.ended_s = self._clock()
                times.seconds = (*times.seconds, times.ended_s - began_s)[-_NUM_TIMES:]
            return result

        return timed

    def _get_times(self, kind: Hashable, most: int) -> dict[int, _Times]:
        """Return the times of a kind, which is the last to be forgotten now."""
        times = self._times.pop((kind, most), None) or {most: _Times(), most // 2: _Times()}
        self._times[kind, most] = times
        if len(self._times) > _MOST_KINDS:
            del self._times[next(iter(self._times))]
        return times
