"""What was measured on this machine at the first start, kept in a small file: which number format pays, which buckets.

Both would cost seconds at every start, and a choice that wavers with the load of the moment would change the
fingerprint, or the pace, from one start to the next. Delete the file to have everything measured again.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

_PLATEAU = 0.95
_MUCH_FASTER = 0.8
_PATIENCE_S = 5.0


class Measured:
    """Figures by name. Without a file nothing is measured: `get` answers None."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None

    def get(self, name: str, measure: Callable[[], float]) -> float | None:
        """What is kept under that name, else what `measure` returns, kept from now on."""
        if self._file is None:
            return None
        kept = _read(self._file)
        if name not in kept:
            kept[name] = measure()
            _write(self._file, kept)
        return kept[name]


def pays_first(seconds: Mapping[int, float]) -> int:
    """The smallest bucket whose rows a second come within 5 % of the best; `seconds` is the time of a forward each."""
    rates = {bucket: bucket / taken for bucket, taken in seconds.items()}
    return min(bucket for bucket, rate in rates.items() if rate >= _PLATEAU * max(rates.values()))


def time_buckets(forwards: Mapping[int, Callable[[], None]], *, rounds: int = 3) -> dict[int, float]:
    """Seconds of a forward by bucket: the best of a few, interleaved, after one that does not count.

    On a slow machine the larger buckets are left out: what cannot be tried in a few seconds does not pay.
    """
    started = time.perf_counter()
    best: dict[int, float] = {}
    for bucket, forward in sorted(forwards.items()):
        if best and time.perf_counter() - started > _PATIENCE_S:
            break
        forward()
        best[bucket] = _seconds(forward)
    for _ in range(rounds - 1):
        if time.perf_counter() - started > _PATIENCE_S:
            break
        for bucket in best:
            best[bucket] = min(best[bucket], _seconds(forwards[bucket]))
    return best


def bfloat16_gain() -> float:
    """How many times faster this processor multiplies matrices in bfloat16 than in float32.

    Twice and more with units for it, far below one without. Measured, because no public call tells the two apart.
    """
    return _product_seconds(torch.float32) / _product_seconds(torch.bfloat16)


def is_much_faster(gain: float) -> bool:
    return gain * _MUCH_FASTER > 1


def _product_seconds(dtype: torch.dtype, *, side: int = 768, repeats: int = 5) -> float:
    factor = torch.ones(side, side, dtype=dtype)

    def multiply() -> None:
        torch.mm(factor, factor)

    multiply()
    return min(_seconds(multiply) for _ in range(repeats))


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _read(file: Path) -> dict[str, float]:
    """What is kept; nothing if there is no such file, or not one of ours."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        return {str(name): float(value) for name, value in kept.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _write(file: Path, kept: Mapping[str, float]) -> None:
    """Whole or not at all; a folder that cannot be written to costs another measurement, not the start."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text(json.dumps(kept, indent=1, sort_keys=True), "utf-8")
        new.replace(file)
