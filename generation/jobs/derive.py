"""Derives requests from finished pictures: reroll, variations, upscale, exact reproduction."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from msgspec import UNSET, UnsetType

from generation.jobs.errors import NotFromWordsError, PictureDeletedError, PictureEnlargedError
from generation.jobs.job import Image, Job
from generation.models.catalog import Model
from generation.models.errors import AlreadyLargestError
from generation.models.sizes import can_be_upscaled, find_nearest_size
from generation.requests.control import Control
from generation.requests.edits import Hires, Margins, StartImage, Variation
from generation.requests.errors import RecipeUnusableError
from generation.requests.ranges import MAX_SEED, SIDE_MULTIPLE_PX, check_above
from generation.requests.recipe import Recipe, require_trace
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.upscalers import Upscaler, build_upscale
from generation.translatable import Phrase

VARIATION_STRENGTH = 0.25
NUM_VARIATIONS = 4
REPAINT_STRENGTH = 0.5
MAX_ZOOM = 2.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


def reroll(job: Job, *, seed: int) -> GenerationRequest:
    """Return the same request with other noise, and with what is drawn from it.

    The seeds of a comparison keep their distances, and its words stay. Raise `InvalidRequestError` for an upscale,
    which has no noise of its own.
    """
    request, first = job.request, job.request.spec
    _require_painted(first)
    if not request.cells:
        spec = _set_seed(ask_again(first), seed)
        return replace(request, spec=spec, replay=None, drawn=UNSET, alt=UNSET, chosen_by=UNSET)
    cells = tuple(replace(each, seed=(each.seed - first.seed + seed) % (MAX_SEED + 1)) for each in request.cells)
    return replace(request, spec=cells[0], cells=cells, chosen_by=UNSET)


def ask_again(spec: ImageSpec) -> ImageSpec:
    """Return the spec with the words it was asked for: what its prompts were drawn from, else themselves."""
    if not spec.template:
        return spec
    return replace(spec, prompt=spec.template.prompt, negative=spec.template.negative, adapters=(), embeddings=())


def vary(image: Image, *, seed: int) -> GenerationRequest:
    """Return a request for four pictures near this one: its first noise turned a little towards another.

    A picture that is itself such a turn has no room for a second one: it is repainted halfway from its own file.
    """
    spec = image.spec
    _require_painted(spec)
    if spec.variation is None:
        near = replace(spec, variation=Variation(seed=seed, strength=VARIATION_STRENGTH), template=UNSET)
    else:
        start = StartImage(sha256=_file_of(image), strength=REPAINT_STRENGTH)
        near = _from_file(spec, start=start, seed=seed)
    return GenerationRequest(spec=near, count=NUM_VARIATIONS, parent=image.id)


def enlarge(image: Image, upscaler: Upscaler | None = None, *, factor: int | None = None) -> GenerationRequest:
    """Return a request for the picture at twice the width and height, or as the upscaler gives it.

    None is what its model has. Raise `InvalidRequestError` if that is too large.
    """
    upscale = build_upscale(upscaler, _file_of(image), factor=factor)
    if not can_be_upscaled(image.spec, upscale.factor):
        raise AlreadyLargestError
    return GenerationRequest(spec=_from_file(image.spec, upscale=upscale), parent=image.id)


def zoom_out(image: Image, factor: float, *, seed: int) -> GenerationRequest:
    """Return a request for the picture in the middle of a canvas `factor` (above 1, up to 2) times its size.

    The rest of the canvas is painted.
    """
    _check_zoom(factor)
    width, height = image.spec.result_size_px
    across, down = (_compute_margin(side_px, factor) for side_px in (width, height))
    return outpaint(image, Margins(left=across, right=across, top=down, bottom=down), seed=seed)


def outpaint(image: Image, margins: Margins, *, seed: int) -> GenerationRequest:
    """Return a request for the picture extended by the margins. Raise `InvalidRequestError` if that is too large."""
    width, height = image.spec.result_size_px
    canvas = {
        "width_px": width + margins.left + margins.right,
        "height_px": height + margins.top + margins.bottom,
    }
    start = StartImage(sha256=_file_of(image), strength=1.0, margins=margins)
    return GenerationRequest(spec=_from_file(image.spec, start=start, seed=seed, **canvas), parent=image.id)


def apply_hires_fix(image: Image, factor: float = 2.0, *, strength: float = 0.6) -> GenerationRequest:
    """Return a hires fix of the picture: painted again from its seed, then `factor` times larger with new details.

    Raise `InvalidRequestError` for a picture that did not come from words alone.
    """
    if image.spec.start is not None or image.spec.upscale is not None or image.spec.hires is not None:
        raise NotFromWordsError
    hires = Hires(factor=factor, strength=strength)
    return GenerationRequest(spec=replace(image.spec, hires=hires, template=UNSET), parent=image.id)


def reproduce(recipe: Recipe, *, parent: str | None = None, original: str | None = None) -> GenerationRequest:
    """Return a request for the picture of that recipe again, byte for byte.

    A recipe may come from a user's file, so it is checked. `original` is the SHA-256 of the file to compare with. Raise
    `InvalidRequestError` if the recipe cannot be painted here.
    """
    require_trace(recipe.spec, recipe.trace)
    if not all(map(_SHA256.fullmatch, (recipe.pixels_sha256, *recipe.spec.sources))):
        raise RecipeUnusableError
    return GenerationRequest(spec=recipe.spec, parent=parent, replay=recipe.build_replay(original=original))


def reuse_settings(recipe: Recipe, model: Model) -> GenerationRequest:
    """Return a request with a recipe's words and settings, without its start files.

    Raise `InvalidRequestError` if it is not valid.
    """
    spec = recipe.spec
    width_px, height_px = find_nearest_size(model, (spec.width_px, spec.height_px))
    no_files: dict[str, Any] = {"start": None, "upscale": None, "control": UNSET, "reference": UNSET}
    plain = replace(spec, width_px=width_px, height_px=height_px, template=UNSET, image_prompt=UNSET, **no_files)
    return GenerationRequest(spec=plain)


def _set_seed(spec: ImageSpec, seed: int) -> ImageSpec:
    """Return the spec with another seed: the second seed of a variation, whose first ties it to its source."""
    if spec.variation is not None:
        return replace(spec, variation=replace(spec.variation, seed=seed))
    return replace(spec, seed=seed)


def _from_file(spec: ImageSpec, **changes: Any) -> ImageSpec:
    """Return the same spec started from the finished picture's file: at its size, without what made it.

    Its words are those that were painted, so nothing is drawn again.
    """
    width, height = spec.result_size_px
    plain = {"width_px": width, "height_px": height, "start": None, "variation": None, "upscale": None, "hires": None}
    fields = plain | {"template": UNSET} | changes
    size_px = fields["width_px"], fields["height_px"]
    if fields["upscale"]:
        return replace(spec, control=UNSET, reference=UNSET, image_prompt=UNSET, **fields)
    return replace(spec, control=keep_controls(spec, size_px), **fields)


def keep_controls(spec: ImageSpec, size_px: tuple[int, int]) -> tuple[Control, ...] | UnsetType:
    """Return the ControlNets of a spec for a picture of that size: of another size their pictures do not fit."""
    return spec.control if size_px == (spec.width_px, spec.height_px) else UNSET


def _check_zoom(factor: float) -> None:
    check_above(Phrase("Zoom"), factor, low=1, high=MAX_ZOOM)


def _compute_margin(side_px: int, factor: float) -> int:
    """Return half of what a side grows by, on the grid of 8 pixels."""
    return max(SIDE_MULTIPLE_PX, round(side_px * (factor - 1) / 2 / SIDE_MULTIPLE_PX) * SIDE_MULTIPLE_PX)


def _require_painted(spec: ImageSpec) -> None:
    if spec.upscale is not None:
        raise PictureEnlargedError


def _file_of(image: Image) -> str:
    if image.file_sha256 is None:
        raise PictureDeletedError
    return image.file_sha256
