"""A picture beside the words of a prompt: an IP-Adapter lets a model of Stable Diffusion paint something like it."""

from __future__ import annotations

from dataclasses import dataclass

from generation.requests.errors import ImagePromptWithUpscaleError
from generation.requests.prompt_addons import check_file
from generation.requests.ranges import check_number
from generation.translatable import Phrase
from generation.validation import checked

MAX_STRENGTH = 2.0
USUAL_STRENGTH = 0.6
"""Where none is chosen: the words still count as much as the picture."""
MAX_REFERENCE_PX = 1024
"""The longest side that a reference is kept at. Image encoders see a square of 224 pixels from its middle."""
_STRENGTH = Phrase("Reference strength")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePrompt:
    """A reference: the SHA-256 of its file, the IP-Adapter that looks at it, and how strongly it counts."""

    adapter: str
    adapter_sha256: str
    sha256: str
    strength: float = USUAL_STRENGTH

    def __post_init__(self) -> None:
        check_file(self.adapter, self.adapter_sha256)
        check_file(self.adapter, self.sha256)
        check_number(_STRENGTH, self.strength, low=0, high=MAX_STRENGTH)


def require_painting(*, is_upscale: bool) -> None:
    """Raise `ImagePromptWithUpscaleError` for a picture that is only enlarged."""
    if is_upscale:
        raise ImagePromptWithUpscaleError


def fit_reference(size_px: tuple[int, int] | None) -> tuple[int, int]:
    """Return the size at which a reference of that size is kept: in its shape, and no larger than is useful."""
    if size_px is None:
        return MAX_REFERENCE_PX, MAX_REFERENCE_PX
    scale = min(1.0, MAX_REFERENCE_PX / max(size_px))
    return max(1, round(size_px[0] * scale)), max(1, round(size_px[1] * scale))
