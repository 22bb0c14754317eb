"""Commands for toy models, and running an engine to their end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from generation.engine.engine import Engine
from generation.images.codec import encode_png
from generation.jobs.protocol import Cancelled, Event, Finished, GenerateCommand, ImageFailed, Share
from generation.requests.edits import Margins, StartImage
from generation.requests.spec import ImageSpec

SIDE_PX = 64
FIVE_SAMPLERS = ("Euler a", "Heun", "DPM++ 2M Karras", "DPM++ 2M SDE", "PLMS")


def a_spec(**changes: Any) -> ImageSpec:
    plain: dict[str, Any] = {
        "prompt": "a red cat",
        "negative": "dog",
        "model": "toy",
        "width_px": SIDE_PX,
        "height_px": SIDE_PX,
        "steps": 4,
        "guidance": 3.0,
        "sampler": "DDIM",
        "seed": 5,
    }
    return ImageSpec(**plain | changes)


def an_order(spec: ImageSpec | None = None, *, image_id: str = "a-0", **changes: Any) -> GenerateCommand:
    spec = spec or a_spec()
    plain: dict[str, Any] = {"attempt": 1, "share": Share(1), "check_safety": False}
    if spec.start is not None:
        plain["start_png"] = a_picture(size_px=spec.start_size_px)
        plain["mask_png"] = a_mask(size_px=(spec.width_px, spec.height_px)) if spec.start.mask_sha256 else None
    return GenerateCommand(image_id=image_id, spec=spec, **plain | changes)


def a_start(*, strength: float = 0.6, mask: bool = False, margins: Margins | None = None) -> StartImage:
    return StartImage(sha256="0" * 64, strength=strength, mask_sha256="1" * 64 if mask else None, margins=margins)


def a_picture(seed: int = 0, size_px: tuple[int, int] = (SIDE_PX, SIDE_PX)) -> bytes:
    width, height = size_px
    return encode_png(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8).tobytes(), size_px)


def a_mask(size_px: tuple[int, int] = (SIDE_PX, SIDE_PX)) -> bytes:
    """Return a mask: white (repaint) above, black (keep) below."""
    width, height = size_px
    mask = np.zeros((height, width, 3), np.uint8)
    mask[: height // 2] = 255
    return encode_png(mask.tobytes(), size_px)


def run(engine: Engine, *orders: GenerateCommand) -> list[Event]:
    """Admit, step until idle, and return all events."""
    for order in orders:
        engine.admit(order)
    said: list[Event] = []
    while not engine.is_idle:
        said += engine.step()
    return said


def ends(events: Iterable[Event]) -> dict[str, Finished | Cancelled | ImageFailed]:
    """Return the last event of each image."""
    return {event.image_id: event for event in events if isinstance(event, Finished | Cancelled | ImageFailed)}


def paint(engine: Engine, order: GenerateCommand) -> Finished:
    """Generate one image alone, which must succeed."""
    end = ends(run(engine, order))[order.image_id]
    assert isinstance(end, Finished), end
    return end


def trace_of(end: object) -> str:
    """Return the trace of an image, if it has one, without the mark of packed weights: not every processor packs."""
    return getattr(end, "trace", "").replace("p", "")


def as_array(finished: Finished) -> np.ndarray:
    return np.frombuffer(finished.pixels, np.uint8).reshape(finished.height_px, finished.width_px, 3).astype(int)
