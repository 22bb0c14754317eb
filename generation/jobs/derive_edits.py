"""Derives more requests from finished pictures: strong variations, remixes, inpainted regions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from msgspec import UNSET

from generation.images.region import mask_sha256
from generation.jobs.derive import ask_again, keep_controls, vary
from generation.jobs.errors import PictureDeletedError, PictureEnlargedError, StrengthWithoutPictureError
from generation.jobs.job import Image, Job
from generation.requests.control import Control
from generation.requests.defaults import rescale_true_cfg
from generation.requests.drawing import write_prompts
from generation.requests.edits import StartImage
from generation.requests.prompt import read_negative
from generation.requests.prompt_addons import AddonLibrary
from generation.requests.spec import GenerationRequest, ImageSpec

STRONG_VARIATION = 0.6
STRONG_REPAINT = 0.75
REGION_STRENGTH = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class RemixOptions:
    """What may be changed in a remix: the prompt as people write it, LoRA and all.

    `strength`: how much may change of what the pictures start from, if anything.
    """

    prompt: str
    negative: str
    guidance: float
    seed: int
    strength: float | None = None


def vary_strongly(image: Image, *, seed: int) -> GenerationRequest:
    """Return a request for four pictures that share this one's idea rather than its lines."""
    request = vary(image, seed=seed)
    spec = request.spec
    if spec.variation is not None:
        return replace(request, spec=replace(spec, variation=replace(spec.variation, strength=STRONG_VARIATION)))
    assert spec.start is not None
    return replace(request, spec=replace(spec, start=replace(spec.start, strength=STRONG_REPAINT)))


def get_remix_options(job: Job) -> RemixOptions:
    """Return the values that a remix of these pictures begins with."""
    spec = ask_again(job.request.spec)
    strength = spec.start.strength if spec.start else spec.variation.strength if spec.variation else None
    return RemixOptions(
        prompt=spec.written, negative=spec.negative, guidance=spec.guidance, seed=spec.seed, strength=strength
    )


def replace_prompt(spec: ImageSpec, model: AddonLibrary, prompt: str, negative: str | None = None) -> ImageSpec:
    """Return the spec with another prompt and the add-ons that it calls for.

    Raise `InvalidRequestError` if they do not fit.
    """
    written = write_prompts(model, prompt, spec.negative if negative is None else read_negative(negative))
    return replace(spec, **written, true_cfg=rescale_true_cfg(spec.true_cfg, written["negative"]))


def remix(job: Job, wishes: RemixOptions, model: AddonLibrary, *, picture: Image | None = None) -> GenerationRequest:
    """Return a request for the same pictures with other wishes, by the same model.

    A strength needs something to change: what the job started from, or else `picture`, which is then started from.
    Raise `InvalidRequestError` for an upscale, and for a strength where there is nothing to start from.
    """
    spec = job.request.spec
    if spec.upscale is not None:
        raise PictureEnlargedError
    changed = replace_prompt(spec, model, wishes.prompt, wishes.negative)
    changed = replace(changed, guidance=wishes.guidance, seed=wishes.seed)
    if wishes.strength is not None:
        changed = _set_strength(changed, wishes.strength, picture)
    parent = (picture or job.images[0]).id
    return GenerationRequest(spec=changed, count=job.request.count, parent=parent)


def _set_strength(spec: ImageSpec, strength: float, picture: Image | None) -> ImageSpec:
    if spec.start is not None:
        return replace(spec, start=replace(spec.start, strength=strength))
    if spec.variation is not None:
        return replace(spec, variation=replace(spec.variation, strength=strength))
    if picture is None:
        raise StrengthWithoutPictureError
    return start_from_image(picture, strength=strength, seed=spec.seed, basis=spec)


def start_from_image(image: Image, *, strength: float, seed: int, basis: ImageSpec | None = None) -> ImageSpec:
    """Return a picture's spec (or `basis`), started from its file at its size.

    Raise `InvalidRequestError` if that was deleted.
    """
    if image.file_sha256 is None:
        raise PictureDeletedError
    width_px, height_px = image.spec.result_size_px
    spec = basis or image.spec
    return replace(
        spec,
        control=keep_controls(spec, (width_px, height_px)),
        width_px=width_px,
        height_px=height_px,
        seed=seed,
        start=StartImage(sha256=image.file_sha256, strength=strength),
        variation=None,
        upscale=None,
        hires=None,
    )


def guide_by_image(
    image: Image,
    controls: Sequence[Control],
    *,
    own: Collection[int] = (),
    seed: int,
    basis: ImageSpec | None = None,
) -> ImageSpec:
    """Return a picture's spec (or `basis`) that follows its file by ControlNets, if any, at its size.

    `own`: the places of those that follow another file. Raise `InvalidRequestError` if the picture was deleted.
    """
    plain = start_from_image(image, strength=1.0, seed=seed, basis=basis)
    assert plain.start is not None
    sha256 = plain.start.sha256
    following = [each if place in own else replace(each, sha256=sha256) for place, each in enumerate(controls)]
    return replace(plain, start=None, template=UNSET, control=tuple(following) or UNSET)


def inpaint_cells(
    image: Image,
    cells: Sequence[int],
    model: AddonLibrary,
    *,
    prompt: str,
    seed: int,
    strength: float = REGION_STRENGTH,
) -> GenerationRequest:
    """Return a request for the picture with those cells of a 3 x 3 grid painted again."""
    size_px = image.spec.result_size_px
    chosen = tuple(sorted(set(cells)))
    return _build_repaint(
        image, mask_sha256(chosen, size_px), chosen, model, prompt=prompt, seed=seed, strength=strength
    )


def inpaint_mask(
    image: Image, mask: str, model: AddonLibrary, *, prompt: str, seed: int, strength: float = REGION_STRENGTH
) -> GenerationRequest:
    """Return a request for the picture painted again where the mask (SHA-256 of a PNG of its size) is white."""
    return _build_repaint(image, mask, (), model, prompt=prompt, seed=seed, strength=strength)


def _build_repaint(
    image: Image, mask: str, cells: tuple[int, ...], model: AddonLibrary, *, prompt: str, seed: int, strength: float
) -> GenerationRequest:
    spec = start_from_image(image, strength=strength, seed=seed)
    assert spec.start is not None
    start = replace(spec.start, mask_sha256=mask, cells=cells)
    return GenerationRequest(spec=replace(replace_prompt(spec, model, prompt), start=start), parent=image.id)
