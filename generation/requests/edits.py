"""What a spec can add to text-to-image: a start image, outpainting, a variation, an upscale, a hires fix."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from generation.requests.errors import (
    HiresFromPictureError,
    HiresTooLargeError,
    MarginStepError,
    MarginsTooLargeError,
    MarginsWithMaskError,
    RegionError,
    UpscaleFactorError,
)
from generation.requests.prompt_addons import check_file
from generation.requests.ranges import (
    MAX_SIDE_PX,
    MIN_INSIDE_PX,
    SIDE_MULTIPLE_PX,
    check_above,
    check_range,
    check_seed,
    check_strength,
    shorten,
)
from generation.translatable import Phrase
from generation.validation import checked

DOUBLE, MAX_FACTOR = 2, 4
"""What a picture's sides are multiplied by where nothing else is chosen, and at most."""


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """Pixels to paint beyond each edge of a picture (outpaint), multiples of 8, not all zero."""

    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    def __post_init__(self) -> None:
        sides = (self.left, self.right, self.top, self.bottom)
        for side_px in sides:
            check_range(Phrase("A margin"), side_px, low=0, high=MAX_SIDE_PX)
        if not any(sides) or any(side_px % SIDE_MULTIPLE_PX for side_px in sides):
            raise MarginStepError(step=SIDE_MULTIPLE_PX)

    def inside(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Return what is left of a canvas of that size: the picture in it."""
        return size_px[0] - self.left - self.right, size_px[1] - self.top - self.bottom


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class StartImage:
    """A picture to begin from (img2img): the SHA-256 of its file, and how much of it may change, 0 < strength <= 1.

    With `margins` it is outpainted: the spec's size is the new canvas, the file is smaller by the margins, and stays
    as it is but for a narrow seam. `strength` 1 invents what is painted, less keeps to the colours of the edges.
    """

    sha256: str
    strength: float
    mask_sha256: str | None = None
    margins: Margins | None = None
    cells: tuple[int, ...] = ()
    """Where the mask is some cells of a 3 x 3 grid (0 to 8, row by row): it is drawn from these, and needs no file."""

    def __post_init__(self) -> None:
        check_strength(Phrase("Strength"), self.strength)
        if self.cells and (self.mask_sha256 is None or not set(self.cells) <= set(range(9))):
            raise RegionError
        if self.margins is not None and self.mask_sha256 is not None:
            raise MarginsWithMaskError


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """A second seed, and how far the first noise is turned towards it (spherically), 0 < strength <= 1."""

    seed: int
    strength: float

    def __post_init__(self) -> None:
        check_seed(self.seed)
        check_strength(Phrase("Variation strength"), self.strength)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class UpscaleNetwork:
    """The upscaler that one picture was enlarged by: its name, and its file's SHA-256."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        check_file(self.name, self.sha256)


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Upscale:
    """Enlarge a finished picture: the SHA-256 of its file and the factor. The prompt is kept, nothing is repainted."""

    sha256: str
    factor: int = DOUBLE
    network: UpscaleNetwork | UnsetType = UNSET
    """An upscaler that was added. Unset is what the model itself has, or a resize, and is not written: a picture from
    before there were others keeps its file, to the byte."""

    def __post_init__(self) -> None:
        most = DOUBLE if self.network is UNSET else MAX_FACTOR
        least = DOUBLE if self.network is UNSET else 1
        if type(self.factor) is not int or not least <= self.factor <= most:
            raise UpscaleFactorError(factor=shorten(self.factor))


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Hires:
    """Hires fix: paint at the spec's own size, enlarge the latents `factor` times, repaint `strength` of that.

    1 < factor <= 2 (`ImageSpec.result_size_px` is rounded to 8 pixels). Below a strength of 0.5 the result stays soft.
    """

    factor: float = 2.0
    strength: float = 0.6

    def __post_init__(self) -> None:
        check_above(Phrase("Hires factor"), self.factor, low=1, high=2)
        check_strength(Phrase("Hires strength"), self.strength)

    def enlarge(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the second pass, rounded to 8 pixels."""
        width, height = (
            SIDE_MULTIPLE_PX * max(1, round(side_px * self.factor / SIDE_MULTIPLE_PX)) for side_px in size_px
        )
        return width, height


def check_margins(start: StartImage | None, inside_px: tuple[int, int]) -> None:
    """Raise `InvalidRequestError` if what is painted around a picture leaves too little of the size for it."""
    if start is not None and start.margins is not None and min(inside_px) < MIN_INSIDE_PX:
        width, height = inside_px
        raise MarginsTooLargeError(width=width, height=height, least=MIN_INSIDE_PX)


def check_hires(result_size_px: tuple[int, int], *, from_picture: bool) -> None:
    """Raise `InvalidRequestError` if a hires fix cannot be done: from a picture, or to such a size."""
    if from_picture:
        raise HiresFromPictureError
    if max(result_size_px) > MAX_SIDE_PX:
        width, height = result_size_px
        raise HiresTooLargeError(width=width, height=height, most=MAX_SIDE_PX)
