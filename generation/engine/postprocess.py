"""Postprocesses finished latents: decode, check, and only then return pixels that may be shown."""

from __future__ import annotations

import logging
import time

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.error_classes import is_engine_broken, is_out_of_memory
from generation.engine.outpaint import put_back
from generation.engine.pixels import encode_jpeg, from_model_range, read_picture
from generation.engine.slot import Slot
from generation.errors import NotFiniteError
from generation.failpoints import reached
from generation.jobs.protocol import Finished, GenerateCommand, Preview
from generation.safety.verdict import UNCHECKED, SafetyVerdict

log = logging.getLogger(__name__)


def decode(slot: Slot, latents: Tensor) -> np.ndarray:
    """Return (height, width, 3) uint8. Raise `NotFiniteError` instead of showing what is not a number."""
    pixels = slot.family.decode(latents) if bool(torch.isfinite(latents).all()) else latents
    if not bool(torch.isfinite(pixels).all()):
        raise NotFiniteError()
    picture = from_model_range(pixels)
    spec, start_png = slot.order.spec, slot.order.start_png
    if spec.start is None or spec.start.margins is None:
        return picture
    inside = read_picture(start_png, spec.start_size_px, name="The start picture")
    return put_back(picture, inside, spec.start.margins)


def finish_image(
    order: GenerateCommand,
    picture: np.ndarray,
    verdict: SafetyVerdict,
    *,
    slot: Slot | None = None,
    start: SafetyVerdict = UNCHECKED,
) -> Finished:
    """Return the event that ends an image: its pixels if they may be shown, else an empty, withheld one.

    `verdict`: on the picture, and `start`: on the one it starts from. Without a slot nothing was painted: the image is
    an upscale.
    """
    reached("checked")
    withheld = _is_withheld(order, verdict)
    height, width = picture.shape[:2]
    return Finished(
        image_id=order.image_id,
        attempt=order.attempt,
        width_px=width,
        height_px=height,
        pixels=b"" if withheld else picture.tobytes(),
        trace=slot.trace if slot else "",
        evaluations=slot.done if slot else 0,
        withheld=withheld,
        flagged=not (verdict.is_safe and start.is_safe),
        safety_scores=verdict.scores | _name_start_scores(start),
        review_jpeg=_make_review_copy(order, verdict, picture) if withheld else b"",
        model_sha256=slot.model_sha256 if slot else "",
        storage=slot.storage if slot else "",
        dropped=slot.dropped if slot else "",
    )


def refuse_start(order: GenerateCommand, verdict: SafetyVerdict, picture: np.ndarray) -> Finished | None:
    """Return the end of an image whose start picture (height, width, 3) may not be used; None if it may."""
    if not _is_withheld(order, verdict):
        return None
    width, height = order.spec.result_size_px
    return Finished(
        image_id=order.image_id,
        attempt=order.attempt,
        width_px=width,
        height_px=height,
        pixels=b"",
        trace="",
        evaluations=0,
        withheld=True,
        flagged=True,
        is_start_flagged=True,
        safety_scores=_name_start_scores(verdict),
        review_jpeg=_make_review_copy(order, verdict, picture),
    )


def _is_withheld(order: GenerateCommand, verdict: SafetyVerdict) -> bool:
    return not verdict.is_safe and not (order.shows_flagged and _may_come_out(verdict))


def _may_come_out(verdict: SafetyVerdict) -> bool:
    return verdict.is_certain and not verdict.is_forbidden


def _make_review_copy(order: GenerateCommand, verdict: SafetyVerdict, picture: np.ndarray) -> bytes:
    return encode_jpeg(blurred(picture)) if order.keeps_for_review and _may_come_out(verdict) else b""


def _name_start_scores(verdict: SafetyVerdict) -> dict[str, float]:
    return {f"start {name}": score for name, score in verdict.scores.items()}


def blurred(picture: np.ndarray) -> np.ndarray:
    """Return what a moderator sees of a withheld picture: colours and large shapes, without any detail."""
    image = PillowImage.fromarray(picture)
    small = image.resize((12, max(1, round(12 * image.height / image.width))), PillowImage.Resampling.BOX)
    return np.asarray(small.resize((256, 256 * image.height // image.width), PillowImage.Resampling.BICUBIC))


def is_preview_due(slot: Slot, *, ahead_s: float) -> bool:
    """Return whether the next preview is worth its cost now: the picture would not be there within `ahead_s` anyway."""
    walk, asked = slot.walk, slot.order.num_previews
    due_at = slot.total * (slot.num_previews + 1) / (asked + 1)
    if walk is None or slot.num_previews >= asked or slot.is_denoised or slot.done < due_at:
        return False
    step_s = (time.monotonic() - walk.began_s) / (slot.done - walk.begun_at or 1)
    return step_s * (slot.total - slot.done) >= ahead_s


def decode_preview(slot: Slot, *, side: int) -> np.ndarray | None:
    """Return the sampler's best guess as (height, width, 3) uint8, to be checked; None if it cannot be decoded.

    The guess is pooled before decoding: a quarter of the cells is a quarter of the work and less noise.
    """
    assert slot.walk is not None
    latents = slot.walk.latents if slot.walk.guess is None else slot.walk.guess
    try:
        return from_model_range(torch.nan_to_num(slot.family.decode(_pool(latents, side))))
    except Exception as error:  # the picture can be had without it
        if is_engine_broken(error) and not is_out_of_memory(error):
            raise
        log.warning("image=%s action=preview-failed error=%s", slot.order.image_id, type(error).__name__)
        return None


def preview(order: GenerateCommand, picture: np.ndarray) -> Preview:
    """Return a checked preview."""
    return Preview(image_id=order.image_id, attempt=order.attempt, jpeg=encode_jpeg(picture))


def _pool(latents: Tensor, side: int) -> Tensor:
    factor = max(2, -(-max(latents.shape[-2:]) // side))
    return torch.nn.functional.avg_pool2d(latents.float(), factor, ceil_mode=True)
