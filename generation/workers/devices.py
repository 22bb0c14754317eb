"""Reads which devices get a worker each: `cuda:0,cuda:1`, or `cpu*2` for two workers on one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

ALL = "auto"
"""Every card there is."""
NONE = "none"
"""No worker on this machine: all are in a fleet."""
DEVICE = r"auto|cuda(:\d{1,2})?|mps|cpu"
MAX_WORKERS = 32
_SEVERAL = re.compile(rf"({DEVICE})(?:\*(\d{{1,2}}))?")


def read_devices(text: str) -> tuple[str, ...]:
    """Return the device of each worker; of `none`, no device. Raise `ValueError` for what names none, or too many."""
    if text.strip().lower() == NONE:
        return ()
    devices = tuple(_read(text.lower().replace(" ", "").split(",")))
    if not 0 < len(devices) <= MAX_WORKERS:
        raise ValueError(f"it should name 1 to {MAX_WORKERS} devices")
    return devices


def check_devices(text: str) -> str:
    """Return the text as settings keep it. Raise `ValueError` if it names no devices; empty, it names nothing."""
    if text.strip():
        read_devices(text)
    return text.strip().lower()


def _read(parts: Sequence[str]) -> Iterator[str]:
    for part in parts:
        found = _SEVERAL.fullmatch(part)
        if found is None or (found[1] == ALL and parts != [ALL]):
            raise ValueError("it should be auto, or devices with commas between them: cuda:0,cuda:1, or cpu*2")
        yield from [found[1]] * int(found[3] or 1)


def name_workers(devices: Sequence[str]) -> list[str]:
    """Return a name for the worker of each device: the device's own, numbered where it has several."""
    times, seen = Counter(devices), Counter[str]()
    names = []
    for device in devices:
        seen[device] += 1
        names.append(f"{device} #{seen[device]}" if times[device] > 1 else device)
    return names
