"""The web UI's requests that bring a picture: img2img, extra-single-image, png-info."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from functools import partial
from typing import Any

from api.a1111.schemas import ExtraBody, ImageBody
from api.admission import Finish
from api.context import ApiContext
from api.errors import NoPictureError, NotSupportedError
from api.keys import Caller
from api.uploads import keep_upload, read_base64, start_from
from generation.admission.enlarge import build_enlargement, fit_sides
from generation.admission.typed import Typed
from generation.images.colours import Reading
from generation.images.interchange import ForeignSettings
from generation.images.loans import Loans
from generation.images.metadata import format_parameters
from generation.jobs.derive_edits import REGION_STRENGTH
from generation.models.sizes import choose_upscaler
from generation.policy.policy import Policy
from generation.requests.ranges import MIN_SIDE_PX
from generation.requests.recipe import Recipe
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE
from generation.requests.upscalers import build_upscale, find_upscaler

_LEAST_PX = (MIN_SIDE_PX, MIN_SIDE_PX)
Finished = tuple[GenerationRequest, Collection[str]]


def read_start(context: ApiContext, caller: Caller, body: ImageBody) -> Finish:
    """Return what makes the request of img2img, and of inpainting with a mask. Raise `ApiError`."""
    if not body.init_images:
        raise NoPictureError
    if len(body.init_images) > 1:
        raise NotSupportedError(name="init_images", value=len(body.init_images), remedy="Send one.")
    picture = read_base64(body.init_images[0])
    mask = read_base64(body.mask, Reading.MASK) if body.mask else None
    strength = REGION_STRENGTH if body.denoising_strength is None else body.denoising_strength
    return start_from(context, caller.owner, picture, mask, strength=strength)


def read_enlargement(context: ApiContext, caller: Caller, body: ExtraBody, policy: Policy) -> Finish:
    """Return what makes the request to enlarge a picture. Raise `ApiError`."""
    if body.resize_mode:
        raise NotSupportedError(name="resize_mode", value=body.resize_mode, remedy="Use 0 with upscaling_resize.")
    factor = body.upscaling_resize or 2.0
    if not factor.is_integer():
        raise NotSupportedError(name="upscaling_resize", value=factor, remedy="Use a whole number.")
    picture, name = read_base64(body.image), body.upscaler_1

    async def finish(typed: Typed, loans: Loans) -> Finished:
        model = typed.model
        named = find_upscaler(model.upscalers, name) if name not in (None, "", "None") else None
        upscaler = named or choose_upscaler(model, policy.choices.default_upscaler)
        upscale = build_upscale(upscaler, NO_FILE, factor=int(factor))
        fit = partial(fit_sides, factor=upscale.factor)
        sha256, size_px = await keep_upload(context, caller.owner, loans, picture, fit, expected_px=_LEAST_PX)
        spec = build_enlargement(model, replace(upscale, sha256=sha256), size_px, prompt=typed.prompt)
        return GenerationRequest(spec=spec), {sha256}

    return finish


def describe_settings(found: Recipe | ForeignSettings | None) -> tuple[str, dict[str, Any]]:
    """Return how a picture was made, as the web UI writes it: one text, and its values by name."""
    if found is None:
        return "", {}
    if isinstance(found, Recipe):
        text, spec = format_parameters(found), found.spec
        size: tuple[int, int] | None = (spec.width_px, spec.height_px)
        values = _list_values(spec.steps, spec.sampler, spec.guidance, spec.seed, size, spec.model, spec.clip_skip)
        return text, {"Prompt": spec.written, "Negative prompt": spec.negative, **values}
    values = _list_values(
        found.steps,
        found.sampler_there or found.sampler,
        found.guidance,
        found.seed,
        found.size_px,
        found.model_there,
        found.clip_skip,
    )
    lines = [found.prompt, *([f"Negative prompt: {found.negative}"] if found.negative else [])]
    lines.append(", ".join(f"{name}: {value}" for name, value in values.items()))
    return "\n".join(lines), {"Prompt": found.prompt, "Negative prompt": found.negative, **values}


def _list_values(
    steps: int | None,
    sampler: str | None,
    guidance: float | None,
    seed: int | None,
    size_px: tuple[int, int] | None,
    model: str | None,
    clip_skip: int | None,
) -> dict[str, Any]:
    values = {
        "Steps": steps,
        "Sampler": sampler,
        "CFG scale": None if guidance is None else f"{guidance:g}",
        "Seed": seed,
        "Size": None if size_px is None else "{}x{}".format(*size_px),
        "Model": model,
        "Clip skip": clip_skip if clip_skip != 1 else None,
    }
    return {name: str(value) for name, value in values.items() if value is not None}
