"""A stand-in for a CUDA graph, for a machine without a card."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from generation.engine import cuda_graphs, devices


class ProcessorGraph:
    """Does on the processor what a captured graph does: runs the same function on the same places in memory."""

    alive: ClassVar[weakref.WeakSet[ProcessorGraph]] = weakref.WeakSet()
    num_captured = num_replayed = 0

    def __init__(self, run: Callable[[], Tensor], pool: object) -> None:
        self._run = run
        self.pool = pool or object()
        self.output = torch.full_like(run(), torch.nan)  # capturing computes nothing
        ProcessorGraph.alive.add(self)
        ProcessorGraph.num_captured += 1

    def replay(self) -> None:
        self.output.copy_(self._run())
        ProcessorGraph.num_replayed += 1


def allow_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the setting hold on a processor, with these graphs."""
    monkeypatch.setattr(devices, "_choose_cuda_graphs", lambda settings, _: settings.cuda_graphs)
    monkeypatch.setattr(cuda_graphs, "CudaGraph", ProcessorGraph)
