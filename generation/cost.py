"""What an image costs, in units known before it is made: equal requests cost the same whoever sat beside them.

One unit is a thousandth of one model evaluation of one row at 512 x 512 pixels. The table is nominal and
versioned, so that a ledger kept for years can be read; how long a unit takes on a given machine is measured
elsewhere and changes no one's bill.

A replay is the exception: its trace says how many rows each of its forwards has, and it pays for all of them, as it
runs alone.
"""

from __future__ import annotations

from itertools import islice, repeat

from generation.recipe import Trace
from generation.request import ImageSpec

COST_VERSION = 2
_UNITS_PER_ROW_EVALUATION = 1000
UNITS_PER_STEP = 2000
"""One *standard step*: a step of one picture of 512 x 512 pixels with guidance. What people read instead of units."""
_REFERENCE_PX = 512 * 512
_FIXED_ROW_EVALUATIONS = 2
"""Text encoding, decoding, checking and storing together, as if they were this many more one-row evaluations."""
_UPSCALE_ROW_EVALUATIONS = 10


def image_cost(spec: ImageSpec, trace: str | None = None) -> int:
    """Units the whole image costs (always at least 1). `trace`: that of a replay."""
    return cost_of_evaluations(spec, spec.num_evaluations, trace)


def cost_of_evaluations(spec: ImageSpec, evaluations: int, trace: str | None = None) -> int:
    """Units for an image of which `evaluations` model evaluations ran: what a cancel while running pays."""
    if spec.upscale is not None:
        return _units(_UPSCALE_ROW_EVALUATIONS * spec.width_px * spec.height_px)
    width_px, height_px = spec.result_size_px
    row_pixels = _FIXED_ROW_EVALUATIONS * width_px * height_px
    rows = repeat(spec.num_rows) if trace is None else Trace.parse(trace).buckets()
    for each in spec.passes:
        ran = min(evaluations, each.evaluations)
        row_pixels += sum(islice(rows, ran)) * each.width_px * each.height_px
        evaluations -= ran
    return _units(row_pixels)


def _units(row_pixels: int) -> int:
    return max(1, round(row_pixels / _REFERENCE_PX * _UNITS_PER_ROW_EVALUATION))
