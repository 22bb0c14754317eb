"""The pictures that a model edits by instruction: read from their files, cropped and scaled as the spec says."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps
from torch import Tensor

from generation.engine.pixels import read_any_picture, to_model_range
from generation.jobs.protocol import GenerateCommand
from generation.requests.references import Reference

NAME = "A picture to edit"


@dataclass(frozen=True, slots=True)
class Seen:
    """One reference of an image. Those with the same `reference` are the same picture, whichever image has them."""

    reference: Reference
    png: bytes | None = field(repr=False)

    def read(self) -> Tensor:
        """Return (1, 3, height, width) in -1..1. Raise as `open` does."""
        return to_model_range(np.asarray(self.open()))

    def open(self) -> PillowImage.Image:
        """Return the picture at the size that is seen. Raise `InvalidRequestError` if the file is missing or
        damaged."""
        picture, size_px = PillowImage.fromarray(read_any_picture(self.png, name=NAME)), self.reference.size_px
        return picture if picture.size == size_px else ImageOps.fit(picture, size_px, PillowImage.Resampling.LANCZOS)


def list_seen(order: GenerateCommand) -> tuple[Seen, ...]:
    """Return the references of an order, in their order."""
    references = order.spec.references
    given = zip_longest(references, order.reference_pngs[: len(references)])
    return tuple(Seen(reference, png) for reference, png in given)


def list_reference_sources(order: GenerateCommand) -> list[tuple[str, np.ndarray]]:
    """Return the whole pictures, each with its SHA-256, for the checkers. Raise `InvalidRequestError` if one is
    missing."""
    return [(each.reference.sha256, read_any_picture(each.png, name=NAME)) for each in list_seen(order)]
