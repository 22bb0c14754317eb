"""How far this process has come with long silent work, such as hashing or loading a large model."""

from __future__ import annotations

import contextlib

import psutil

_MIB = 2**20
_done = 0


def advance(amount: int = 1) -> None:
    """Note that a piece of such work is done."""
    global _done
    _done += amount


def measure() -> tuple[int, int]:
    """Return two numbers that grow while such work gets on: what was noted, and the MiB that were read from disk.

    Libraries load a part of a model in one call; where the disk is slow, that shows in the second number alone.
    """
    read_bytes = 0
    with contextlib.suppress(psutil.Error, OSError, AttributeError):  # not every system counts
        read_bytes = psutil.Process().io_counters().read_bytes
    return _done, read_bytes // _MIB
