"""What an image costs, in units known before it is made: equal requests cost the same, whatever shares their forwards.

One unit is a thousandth of one model evaluation of one row by Stable Diffusion 1.5 at 512 x 512 pixels. What another
model, or another size, takes beside that is counted in floating point operations (`WORK`): convolutions grow with the
pixels, attention with their square. A model that is added is counted by itself and keeps what was counted; `WORK` is
for those that were not. The table is nominal and versioned, so that a ledger kept for years can be read (every
reservation notes its version); how long a unit takes on a given machine is measured elsewhere and changes no one's
bill.

A replay is the exception: its trace says how many rows each of its forwards has, and it pays for all of them, as it
runs alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, repeat

from msgspec import UNSET

from generation.requests.recipe import Forward, Trace, list_running
from generation.requests.spec import ImageSpec

COST_VERSION = 8
"""1: by pixels, whatever the model. 2: a replay pays for all rows of its trace. 3: by what model and size take.
4: upscalers that were added. 5: ControlNets. 6: pictures to edit. 7: by each model's own network, text encoder and VAE,
and LoRA. 8: a row for each region of a prompt."""
UNITS_PER_ROW_EVALUATION = 1000
UNITS_PER_STEP = 2000
"""One *standard step*: a step of one picture of 512 x 512 pixels with guidance by Stable Diffusion 1.5. What people
read instead of units."""
STANDARD_PX = 512 * 512
STANDARD_OPERATIONS = 803_273_441_280
"""Floating point operations of the evaluation that all others are measured by."""
_UNITS_PER_GIB = 10 * UNITS_PER_STEP
"""To read 1 GiB of weights and put it on a card takes about as long there as ten standard steps."""
_MOVED_PER_GIB = 2 * UNITS_PER_STEP
"""To copy 1 GiB of weights from the machine's memory to a card, and back later, is a fifth of that."""
_LEAST = 0.01
"""What an evaluation takes at least: to begin one takes time, however small the network is."""
_LORA = 0.025
"""What a LoRA adds to an evaluation: by operations, rank 32 in all linear layers takes 2.4 % of SD, 2.7 % of XL."""
_UPSCALE_ROW_EVALUATIONS = 10
"""Of the picture that is enlarged. An upscaler that was added also takes one for each 512 x 512 pixels of the result:
14 in all to double. By its layers an RRDBNet of 23 blocks takes 11.7, and 18.3 with the margins of its tiles."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one evaluation of one row takes at p times 512 x 512 pixels: `fixed + linear p + quadratic p^2`."""

    fixed: float
    linear: float
    quadratic: float
    control: Work | None = None
    """What an evaluation of a ControlNet takes beside it."""
    text: float = 0.0
    """To read one prompt."""
    decode: float = 3.259
    """To make pixels of latents, for each 512 x 512 of them."""
    encode: float = 1.519
    """The other way."""

    def of(self, width_px: int, height_px: int, *, reference_px: int = 0) -> float:
        """Return the work at that size, in evaluations by Stable Diffusion 1.5 at 512 x 512.

        `reference_px`: the pixels of the pictures that the model sees beside it. They take as much as its own.
        """
        size = (width_px * height_px + reference_px) / STANDARD_PX
        return max(_LEAST, self.fixed + self.linear * size + self.quadratic * size * size)

    def of_control(self, width_px: int, height_px: int) -> float:
        """Return the work of one of its ControlNets at that size."""
        return self.control.of(width_px, height_px) if self.control is not None else 0.0


BY_PIXELS = Work(0.0, 1.0, 0.0, Work(0.0, 0.35, 0.0), decode=2.0, encode=0.0)
"""Of the built-in model, which hardly attends: nominal, as it always was."""
WORK: Mapping[str, Work] = {
    "sd": Work(0.0037, 0.8438, 0.1525, Work(0.0017, 0.2899, 0.0610), text=0.02),
    "sdxl": Work(0.0654, 1.8540, 0.0585, Work(0.0322, 0.8284, 0.0259), text=0.14),
    "klein": Work(4.0406, 8.2228, 0.4010, text=4.8),
    "klein9b": Work(9.1331, 18.4813, 0.6844, text=9.0),
    "flux": Work(8.4816, 17.3729, 0.9143, text=6.1),
    "kontext": Work(8.4816, 17.3729, 0.9143, text=6.1),
    "chroma": Work(8.7117, 17.3729, 0.9143, text=6.03),
    "sd3": Work(0.5733, 2.1709, 0.2967, text=3.12),
    "sd3large": Work(2.258, 7.191, 0.4826, text=3.12),
    "zimage": Work(1.3618, 14.5505, 0.6416, Work(0.7809, 9.3443, 0.3810), text=4.8),
    "qwenimage": Work(2.2010, 17.5653, 0.9624, text=1.83, decode=3.636, encode=2.301),
    "qwenedit": Work(2.2010, 17.5653, 0.9624, text=1.83, decode=3.636, encode=2.301),
    "qweneditplus": Work(2.2010, 17.5653, 0.9624, text=1.83, decode=3.636, encode=2.301),
    "ernie": Work(2.5189, 20.2137, 0.7699, text=0.6824),
    "krea2": Work(18.6426, 31.8905, 0.8983, text=5.2, decode=3.636, encode=2.301),
}
"""By the engine's family, of the usual size: operations of its networks, counted, over `STANDARD_OPERATIONS`."""


def image_cost(spec: ImageSpec, trace: str | None = None, *, work: Work = BY_PIXELS) -> int:
    """Return the cost units of a whole image (at least 1). `trace`: a replay's; `work`: of the spec's model."""
    return compute_evaluations_cost(spec, spec.num_evaluations, trace, work=work)


def compute_evaluations_cost(
    spec: ImageSpec, evaluations: int, trace: str | None = None, *, work: Work = BY_PIXELS
) -> int:
    """Return the cost units of an image that ran `evaluations`: the price when cancelled while running."""
    if spec.upscale is not None:
        row_evaluations = _UPSCALE_ROW_EVALUATIONS * _area(spec.width_px, spec.height_px)
        if spec.upscale.network is not UNSET:
            row_evaluations += _area(*spec.result_size_px)
        return _units(row_evaluations)
    row_evaluations = _compute_ends(spec, work)
    forwards = _list_forwards(spec) if trace is None else Trace.parse(trace).forwards()
    for each in spec.passes:
        num_ran = min(evaluations, each.evaluations)
        ran = tuple(islice(forwards, num_ran))
        size = work.of(each.width_px, each.height_px, reference_px=spec.reference_px)
        of_row = size * (1 + _LORA * len(spec.adapters))
        row_evaluations += sum(forward.rows for forward in ran) * of_row
        if spec.controls:
            of_control = work.of_control(each.width_px, each.height_px)
            row_evaluations += sum(sum(forward.control) for forward in ran) * of_control
        evaluations -= num_ran
    return _units(row_evaluations)


def price_load(num_bytes: int) -> int:
    """Return the cost units of loading so many bytes of weights. Charged in turns only (`scheduling.swaps`)."""
    return round(num_bytes * _UNITS_PER_GIB / 2**30)


def price_move(num_bytes: int) -> int:
    """Return the cost units of moving so many bytes of weights to a card. Charged in turns only (`StepSchedule`)."""
    return round(num_bytes * _MOVED_PER_GIB / 2**30)


def _compute_ends(spec: ImageSpec, work: Work) -> float:
    """Return what is done once, before and after all steps: prompts, start image, result."""
    begun = _area(*spec.start_size_px) if spec.start is not None else 0.0
    seen = work.encode * (begun + spec.reference_px / STANDARD_PX)
    return seen + work.text * spec.num_rows + work.decode * _area(*spec.result_size_px)


def _area(width_px: int, height_px: int) -> float:
    """Return a size in pictures of 512 x 512 pixels."""
    return width_px * height_px / STANDARD_PX


def _list_forwards(spec: ImageSpec) -> Iterator[Forward]:
    """Return the forwards of a picture as if it were alone."""
    if not spec.controls:
        return repeat(Forward(spec.num_rows))
    return (Forward(spec.num_rows, (spec.num_rows,) * len(running)) for running in list_running(spec))


def _units(row_evaluations: float) -> int:
    return max(1, round(row_evaluations * UNITS_PER_ROW_EVALUATION))
