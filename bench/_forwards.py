"""Forwards by themselves, and several ways to run one in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # torch is loaded when a benchmark runs, not when the list of benchmarks is made
    from torch import Tensor

    from generation.engine.engine import Engine
    from generation.models.catalog import Model

_Result = TypeVar("_Result")


def take_turns(runs: Sequence[Callable[[], _Result]], rounds: int) -> tuple[list[float], list[_Result]]:
    """Return the least seconds of each, run in turn, and what each returned last."""
    import torch

    least, results = [float("inf")] * len(runs), [run() for run in runs]
    for _ in range(rounds):
        for place, run in enumerate(runs):
            started = time.perf_counter()
            results[place] = run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            least[place] = min(least[place], time.perf_counter() - started)
    return least, results


def prepare_forward(engine: Engine, model: Model, rows: int, side_px: int) -> Callable[[], Tensor]:
    """Return what runs one forward of so many rows, all full of one image's."""
    import torch

    from bench._painting import an_order
    from generation.engine.batch import Batch
    from generation.engine.slot import Slot, find_denoiser

    order = an_order(model, "f-0", width_px=side_px, height_px=side_px, guidance=1.0)
    slot = Slot(order, engine._models.get(model.name).family, 1)
    with torch.inference_mode():
        slot.begin(engine._device.torch_device)
        batch = Batch(rows, slot, engine._device)

    @torch.inference_mode()
    def run() -> Tensor:
        batch.fill([slot] * rows)
        return find_denoiser(slot).denoise(batch.latents, batch.timesteps, batch.conditioning)

    return run
