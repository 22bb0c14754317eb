"""Keeps measurements of this machine in a small file: which number format pays, which buckets, model by model.

Both would cost seconds at every start, and a choice that wavers with the load of the moment would change the
fingerprint, or the pace, from one start to the next. Delete the file to have everything measured again.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from collections.abc import Callable, Generator, Mapping
from pathlib import Path

import torch

from generation import progress
from generation.engine.error_classes import is_out_of_memory

_PLATEAU = 0.95
_MUCH_FASTER = 0.8
_HOPELESS = 0.4
"""A gain of small matrices below which large ones are not tried: emulated, bfloat16 takes five times as long."""
_PATIENCE_S = 5.0
ROUNDS = 3
"""How often each is tried that counts."""


class MeasurementCache:
    """Figures by name. Without a file nothing is measured: `get` answers None."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None

    @property
    def is_kept(self) -> bool:
        """Whether there is a file: what cannot be kept is not worth measuring."""
        return self._file is not None

    def get(self, name: str, measure: Callable[[], float]) -> float | None:
        """Return the value kept under that name, else measure it and keep it."""
        if self._file is None:
            return None
        kept = self.find(name)
        if kept is None:
            with progress.task("Measuring number formats, once on this machine"):
                kept = measure()
            self.keep(name, kept)
        return kept

    def find(self, name: str) -> float | None:
        """Return the value kept under that name; None if there is none."""
        return _read(self._file).get(name) if self._file is not None else None

    def keep(self, name: str, value: float) -> None:
        """Keep a figure from now on."""
        if self._file is not None:
            _write(self._file, {**_read(self._file), name: value})


def find_best_bucket(seconds: Mapping[int, float]) -> int:
    """Return the smallest bucket whose rows a second come within 5 % of the best.

    `seconds` is the time of a forward each.
    """
    rates = {bucket: bucket / taken for bucket, taken in seconds.items()}
    return min(bucket for bucket, rate in rates.items() if rate >= _PLATEAU * max(rates.values()))


def time_buckets(
    forwards: Mapping[int, Callable[[], None]], *, rounds: int = ROUNDS, longest_s: float = math.inf
) -> Generator[None, None, dict[int, float]]:
    """Return seconds of a forward by bucket: the best of a few, interleaved, after one that does not count.

    A generator that pauses after every forward. On a slow machine the larger buckets are left out: what cannot be
    tried in a few seconds does not pay. So are those that would take over `longest_s`, were they twice as slow as the
    one before, and those that do not fit into memory.
    """
    spent_s = 0.0
    best: dict[int, float] = {}
    for bucket, forward in sorted(forwards.items()):
        if best and (spent_s > _PATIENCE_S or 2 * max(best.values()) > longest_s):
            break
        try:
            spent_s += _seconds(forward)
            yield
            best[bucket] = _seconds(forward)
        except (RuntimeError, MemoryError) as error:
            if not best or not is_out_of_memory(error):
                raise
            break
        spent_s += best[bucket]
        yield
    for bucket in [*best] * (rounds - 1):
        if spent_s > _PATIENCE_S:
            break
        taken_s = _seconds(forwards[bucket])
        spent_s += taken_s
        best[bucket] = min(best[bucket], taken_s)
        yield
    return best


def bfloat16_gain(*, side: int = 768, rounds: int = 5) -> float:
    """Return how many times faster this processor multiplies matrices in bfloat16 than in float32.

    Twice and more with units for it, far below one without. Measured, because no public call tells the two apart: in
    rounds of both, by the processor time of one thread. On the clock, other programs once made it 0.9 in place of 2.8.
    Without such a unit matrices of `side` would take seconds of the start, so those of a third of it are tried first.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        small = _compare(side // 3, rounds)
        return small if small < _HOPELESS else _compare(side, rounds)
    finally:
        torch.set_num_threads(threads)


def _compare(side: int, rounds: int) -> float:
    whole, half = (torch.ones(side, side, dtype=dtype) for dtype in (torch.float32, torch.bfloat16))
    rounds_s = [(_seconds_of_square(whole), _seconds_of_square(half)) for _ in range(rounds + 1)]
    del rounds_s[0]  # which made both ready
    return min(each for each, _ in rounds_s) / min(each for _, each in rounds_s)


def is_much_faster(gain: float) -> bool:
    return gain * _MUCH_FASTER > 1


def _seconds_of_square(factor: torch.Tensor) -> float:
    """Return the processor time that this thread needs to multiply a matrix by itself."""
    started = time.thread_time()
    torch.mm(factor, factor)
    return time.thread_time() - started


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _read(file: Path) -> dict[str, float]:
    """Return the kept values; none if the file is missing or not one of ours."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        return {str(name): float(value) for name, value in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(file: Path, kept: Mapping[str, float]) -> None:
    """Write the file in one step. A folder that cannot be written to costs another measurement, not the start."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}.new")  # other engines of this machine write it too
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps(kept, indent=1, sort_keys=True), "utf-8")
        new.replace(file)
