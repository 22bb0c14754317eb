"""The usual few lines with diffusers, for the peers of `side_by_side`: load a pipeline, generate, encode."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import torch
from diffusers import StableDiffusionPipeline

from bench._side_work import Request
from generation import paintbox


class Stock:
    """`StableDiffusionPipeline` with Paintbox's weights and its own sampler."""

    def __init__(self, dtype: str) -> None:
        """`dtype`: a number format of torch by its name."""
        loaded = StableDiffusionPipeline.from_pretrained(
            paintbox.MODEL_DIR, dtype=getattr(torch, dtype), safety_checker=None, local_files_only=True
        )
        loaded.set_progress_bar_config(disable=True)
        self._pipeline: Any = loaded

    def paint(self, requests: Sequence[Request]) -> list[bytes]:
        """Return PNG files of requests with equal settings, generated in one call."""
        first = requests[0]
        images = self._pipeline(
            [request.prompt for request in requests],
            width=first.side_px,
            height=first.side_px,
            num_inference_steps=first.steps,
            guidance_scale=first.guidance,
            generator=[torch.Generator().manual_seed(request.seed) for request in requests],
        ).images
        return [encode(image) for image in images]


def encode(image: Any) -> bytes:
    """Return a PIL image as a PNG file."""
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
