"""The pictures that a model edits by instruction, and the files that a spec is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import UnsetType

from generation.requests.control import Control
from generation.requests.edits import StartImage, Upscale
from generation.requests.errors import ReferenceWithUpscaleError, TooManyReferencesError
from generation.requests.image_prompt import ImagePrompt
from generation.requests.ranges import check_size
from generation.validation import checked

MAX_REFERENCES = 4


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A picture that the model sees: the SHA-256 of its file, and the size in pixels it is cropped and scaled to."""

    sha256: str
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        check_size(self.width_px, self.height_px)

    @property
    def size_px(self) -> tuple[int, int]:
        return self.width_px, self.height_px


def check_references(references: Sequence[Reference], *, is_upscale: bool) -> None:
    """Raise `InvalidRequestError` unless there are one to `MAX_REFERENCES`, and something is painted."""
    if is_upscale:
        raise ReferenceWithUpscaleError
    if not 1 <= len(references) <= MAX_REFERENCES:
        raise TooManyReferencesError(most=MAX_REFERENCES, number=len(references))


class MadeFromFiles:
    """The part of a spec that names files."""

    __slots__ = ()
    start: StartImage | None
    upscale: Upscale | None
    control: tuple[Control, ...] | UnsetType
    reference: tuple[Reference, ...] | UnsetType
    image_prompt: ImagePrompt | UnsetType

    @property
    def controls(self) -> tuple[Control, ...]:
        return self.control or ()

    @property
    def references(self) -> tuple[Reference, ...]:
        return self.reference or ()

    @property
    def reference_px(self) -> int:
        """The pixels of all its references."""
        return sum(each.width_px * each.height_px for each in self.references)

    @property
    def made_from(self) -> tuple[str, ...]:
        """The pictures it is made from, by SHA-256: what it begins with comes first."""
        begun = self.start or self.upscale
        seen = (begun, *(self.control or ()), *(self.reference or ()), self.image_prompt)
        return tuple(each.sha256 for each in seen if each)

    @property
    def sources(self) -> frozenset[str]:
        """The files it is made from, by SHA-256: those of `made_from`, and a mask."""
        both = (each.sha256 for each in (self.start, self.upscale) if each is not None)
        mask = self.start.mask_sha256 if self.start is not None else None
        return frozenset((*self.made_from, *both, mask or "")) - {""}

    @property
    def files(self) -> frozenset[str]:
        """Those of `sources` that are read from disk: a mask of cells is drawn."""
        if not (self.start or self.upscale or self.control or self.reference or self.image_prompt):
            return frozenset()  # as most are: asked before the acknowledgement
        is_drawn = self.start is not None and bool(self.start.cells)
        return self.sources - {self.start.mask_sha256} if is_drawn and self.start is not None else self.sources
