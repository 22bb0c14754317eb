"""The walks from noise to picture that make one picture."""

from __future__ import annotations

from typing import NamedTuple


class Pass(NamedTuple):
    """One walk from noise to picture: its size in pixels, the model evaluations it takes, and the steps that run."""

    width_px: int
    height_px: int
    evaluations: int
    steps: int


def count_steps_run(steps: int, strength: float) -> int:
    """Return how many steps run when a picture is to change by `strength`: the noisiest are skipped."""
    return max(1, min(steps, int(steps * strength)))
