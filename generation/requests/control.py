"""The ControlNets that a spec uses: networks that hold a picture to the lines, depths or poses of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from generation.requests.errors import (
    ControlRangeError,
    ControlWithUpscaleError,
    PreprocessorUnknownError,
    TooManyControlsError,
)
from generation.requests.prompt_addons import check_file
from generation.requests.ranges import check_number, shorten
from generation.translatable import Phrase
from generation.validation import checked

MAX_CONTROLS = 3
MAX_STRENGTH = 2.0
NONE = "none"
PREPROCESSORS: Mapping[str, int] = {NONE: 1, "canny": 1, "lineart": 1, "softedge": 1, "invert": 1}
"""What can be made of a picture before a ControlNet sees it, and the version that new requests use. A version never
changes what it makes (`generation.images.preprocessors`); an older one stays as long as it can be read."""
_STRENGTH, _BEGIN, _END = Phrase("Control strength"), Phrase("Control begin"), Phrase("Control end")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """One ControlNet at work: which, the SHA-256 of its picture's file, and how strongly it holds, from when to when.

    `begin` and `end` are parts of the steps, as in diffusers: it is at work in those that lie wholly between.
    """

    network: str
    network_sha256: str
    sha256: str
    strength: float = 1.0
    begin: float = 0.0
    end: float = 1.0
    preprocessor: str = NONE
    version: int = 1

    def __post_init__(self) -> None:
        check_file(self.network, self.network_sha256)
        check_file(self.network, self.sha256)
        check_number(_STRENGTH, self.strength, low=0, high=MAX_STRENGTH)
        check_number(_BEGIN, self.begin, low=0, high=1)
        check_number(_END, self.end, low=0, high=1)
        if self.begin >= self.end:
            raise ControlRangeError(begin=self.begin, end=self.end)
        known = PREPROCESSORS.get(self.preprocessor) if isinstance(self.preprocessor, str) else None
        if known is None or type(self.version) is not int or not 1 <= self.version <= known:
            raise PreprocessorUnknownError(name=shorten(self.preprocessor), available=", ".join(PREPROCESSORS))

    def is_active(self, index: int, of: int) -> bool:
        """Return whether it is at work in evaluation `index` of a walk of `of`."""
        return self.strength > 0 and not (index / of < self.begin or (index + 1) / of > self.end)


def check_controls(controls: Sequence[Control], *, is_upscale: bool) -> None:
    """Raise `InvalidRequestError` unless there are one to `MAX_CONTROLS`, and something is painted."""
    if is_upscale:
        raise ControlWithUpscaleError
    if not 1 <= len(controls) <= MAX_CONTROLS:
        raise TooManyControlsError(most=MAX_CONTROLS, number=len(controls))


def find_active(controls: Sequence[Control], index: int, of: int) -> Iterator[int]:
    """Yield the places of those at work in evaluation `index` of a walk of `of`."""
    return (place for place, each in enumerate(controls) if each.is_active(index, of))
