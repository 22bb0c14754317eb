"""Postprocesses finished latents: decode, check, and only then return pixels that may be shown."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.models import LoadedModel
from generation.engine.outpaint import put_back
from generation.engine.pixels import encode_jpeg, from_model_range, read_picture
from generation.engine.safety import SafetyVerdict
from generation.engine.slot import Slot
from generation.errors import NotFiniteError
from generation.failpoints import reached
from generation.jobs.protocol import Finished, GenerateCommand, Preview


def decode(slot: Slot, latents: Tensor) -> np.ndarray:
    """Return (height, width, 3) uint8. Raise `NotFiniteError` instead of showing what is not a number."""
    pixels = slot.family.decode(latents)
    if not bool(torch.isfinite(pixels).all()):
        raise NotFiniteError()
    picture = from_model_range(pixels)
    spec, start_png = slot.order.spec, slot.order.start_png
    if spec.start is None or spec.start.margins is None:
        return picture
    inside = read_picture(start_png, spec.start_size_px, name="The start picture")
    return put_back(picture, inside, spec.start.margins)


def finish_image(
    model: LoadedModel,
    order: GenerateCommand,
    picture: np.ndarray,
    *,
    slot: Slot | None = None,
    start: SafetyVerdict | None = None,
) -> Finished:
    """Return the event that ends an image: its pixels if they may be shown, else an empty, withheld one.

    Without a slot nothing was painted: the image is an upscale. `start`: the checker's verdict on the picture it starts
    from.
    """
    reached("rendered")
    verdict = judge(model, order, picture)
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
        flagged=not verdict.is_safe or (start is not None and not start.is_safe),
        safety_scores=verdict.scores | _name_start_scores(start),
        review_jpeg=_make_review_copy(order, verdict, picture) if withheld else b"",
        dropped=slot.words.dropped if slot else "",
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


def _name_start_scores(verdict: SafetyVerdict | None) -> dict[str, float]:
    return {f"start {name}": score for name, score in verdict.scores.items()} if verdict is not None else {}


def blurred(picture: np.ndarray) -> np.ndarray:
    """Return what a moderator sees of a withheld picture: colours and large shapes, without any detail."""
    image = PillowImage.fromarray(picture)
    small = image.resize((12, max(1, round(12 * image.height / image.width))), PillowImage.Resampling.BOX)
    return np.asarray(small.resize((256, 256 * image.height // image.width), PillowImage.Resampling.BICUBIC))


def judge(model: LoadedModel, order: GenerateCommand, picture: np.ndarray) -> SafetyVerdict:
    """Return the checker's verdict. It has no scores if, and only if, the model has no checker.

    If the checker raises, the image is not finished (`ImageFailed`).
    """
    if not order.check_safety or model.safety is None:
        return SafetyVerdict(True, {})
    return model.safety.check(picture)


class StartImageCheck:
    """The checker's verdicts on pictures that others start from: of several images from one picture, the first asks."""

    def __init__(self, *, most: int = 64) -> None:
        self._known: dict[tuple[str, str], SafetyVerdict] = {}
        self._most = most

    def judge(
        self, model: LoadedModel, order: GenerateCommand, picture: np.ndarray, *, sha256: str
    ) -> SafetyVerdict | None:
        """Return the verdict on a start picture; None if the model has no checker."""
        if not order.check_safety or model.safety is None:
            return None
        key = (order.spec.model, sha256)
        if key not in self._known:
            while len(self._known) >= self._most:
                del self._known[next(iter(self._known))]
            self._known[key] = judge(model, order, picture)
        return self._known[key]


def preview(model: LoadedModel, slot: Slot, *, side: int) -> Preview | None:
    """Return a small preview of the sampler's best guess, if it passes the same gate as the picture; else None.

    The guess is pooled before decoding: a quarter of the cells is a quarter of the work and less noise.
    """
    assert slot.walk is not None
    latents = slot.walk.latents if slot.walk.guess is None else slot.walk.guess
    pixels = slot.family.decode(_pool(latents, side))
    picture = from_model_range(torch.nan_to_num(pixels))
    if not judge(model, slot.order, picture).is_safe:
        return None
    return Preview(image_id=slot.order.image_id, attempt=slot.order.attempt, jpeg=encode_jpeg(picture))


def _pool(latents: Tensor, side: int) -> Tensor:
    factor = max(2, -(-max(latents.shape[-2:]) // side))
    return torch.nn.functional.avg_pool2d(latents.float(), factor, ceil_mode=True)
