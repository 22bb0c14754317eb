"""Measures where a run of the engine spends its time: seconds per part, without the parts inside it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch

from generation.engine.batch import Batch
from generation.engine.engine import Engine
from generation.engine.slot import Slot
from generation.engine.work_item import WorkItem
from generation.models.catalog import Model

FORWARD = "forward"


class Clock:
    """Seconds by name. A nested call counts for itself only."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inside: list[float] = []

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return `work`, timed under that name from now on."""

        def run(*args: Any, **kwargs: Any) -> Any:
            started = time.perf_counter()
            self._inside.append(0.0)
            try:
                return work(*args, **kwargs)
            finally:
                if torch.cuda.is_available():
                    torch.cuda.synchronize()
                taken = time.perf_counter() - started
                self.seconds[name] += taken - self._inside.pop()
                if self._inside:
                    self._inside[-1] += taken

        return run


def profile(engine: Engine, model: Model, work: Callable[[], object]) -> dict[str, float]:
    """Return the share of the time of `work` by part, largest first; the rest is `everything else`."""
    clock = Clock()
    family = engine._models.get(model.name).family
    watched: list[tuple[str, Any, str]] = [
        (FORWARD, family, "denoise"),
        ("text encoding", family, "condition"),
        ("decoding", family, "decode"),
        ("tokens", family, "tokenize"),
        ("filling the batch", Batch, "fill"),
        ("samplers", WorkItem, "take_steps"),
        ("samplers", Slot, "advance"),
        ("beginning an image", Slot, "begin"),
        ("choosing who is next", engine._schedule_of_steps, "pick"),
    ]
    with ExitStack() as stack:
        for name, owner, method in watched:
            stack.enter_context(patch.object(owner, method, clock.timed(name, getattr(owner, method))))
        clock.timed("everything else", work)()
    total = sum(clock.seconds.values())
    ordered = sorted(clock.seconds.items(), key=lambda item: -item[1])
    return {name: round(seconds / total, 4) for name, seconds in ordered}
