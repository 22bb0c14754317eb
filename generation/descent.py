"""New requests made from finished pictures: another roll, variations, an enlargement, the very same again."""

from __future__ import annotations

from dataclasses import replace

from generation.errors import InvalidRequest
from generation.job import Image, Job
from generation.recipe import Recipe, Trace
from generation.request import (
    MAX_COUNT,
    MAX_STEPS,
    GenerationRequest,
    ImageSpec,
    Replay,
    StartImage,
    Upscale,
    Variation,
)
from generation.sizes import can_be_enlarged

VARIATION_STRENGTH = 0.25
REPAINT_STRENGTH = 0.5
_MAX_BUCKET = 64


def reroll(job: Job, *, seed: int) -> GenerationRequest:
    """The same wishes with other noise. Raises `InvalidRequest` for an enlargement, which has no noise of its own."""
    _require_painted(job.request.spec)
    return replace(job.request, spec=_with_seed(job.request.spec, seed), replay=None)


def vary(image: Image, *, seed: int) -> GenerationRequest:
    """Four pictures near this one: its first noise turned a little towards another.

    A picture that is itself such a turn has no room for a second one: it is repainted halfway from its own file.
    """
    spec = image.spec
    _require_painted(spec)
    if spec.variation is None:
        near = replace(spec, variation=Variation(seed=seed, strength=VARIATION_STRENGTH))
    else:
        start = StartImage(sha256=_file_of(image), strength=REPAINT_STRENGTH)
        near = replace(spec, start=start, variation=None, seed=seed)
    return GenerationRequest(spec=near, count=MAX_COUNT, parent=image.id)


def enlarge(image: Image) -> GenerationRequest:
    """The same picture at twice the width and height. Raises `InvalidRequest` if that is too large."""
    if not can_be_enlarged(image.spec):
        raise InvalidRequest(what="This picture", problem="is as large as pictures get here.")
    width, height = image.spec.result_size_px
    upscale = Upscale(sha256=_file_of(image))
    spec = replace(image.spec, width_px=width, height_px=height, start=None, variation=None, upscale=upscale)
    return GenerationRequest(spec=spec, parent=image.id)


def reproduce(recipe: Recipe, *, parent: str | None = None, original: str | None = None) -> GenerationRequest:
    """The picture of that recipe again, byte for byte. A recipe may come from a stranger's file: it is checked.

    `original` is the SHA-256 of the file to compare with. Raises `InvalidRequest`.
    """
    try:
        trace = Trace.parse(recipe.trace)
    except ValueError:
        raise InvalidRequest(what="The recipe", problem="holds a trace that cannot be read.") from None
    if trace.num_evaluations > 4 * MAX_STEPS or any(bucket > _MAX_BUCKET for bucket, _ in trace.runs):
        raise InvalidRequest(what="The recipe", problem="holds a trace that no picture of ours has.")
    again = Replay(trace=recipe.trace, pixels_sha256=recipe.pixels_sha256, original=original)
    return GenerationRequest(spec=recipe.spec, parent=parent, replay=again)


def _with_seed(spec: ImageSpec, seed: int) -> ImageSpec:
    """What is random about a variation is its second seed: the first ties it to the picture it came from."""
    if spec.variation is not None:
        return replace(spec, variation=replace(spec.variation, seed=seed))
    return replace(spec, seed=seed)


def _require_painted(spec: ImageSpec) -> None:
    if spec.upscale is not None:
        raise InvalidRequest(what="This picture", problem="was enlarged, not painted. Use the one it came from.")


def _file_of(image: Image) -> str:
    if image.file_sha256 is None:
        raise InvalidRequest(what="This picture", problem="is not on disk any more.")
    return image.file_sha256
