"""The ControlNets that a spec uses: networks that hold a picture to the lines, depths or poses of another.

Two kinds have names of their own. A T2I-Adapter looks at its picture once, whatever the step; a ControlNet Union is one
network for many kinds of maps, and is told which its picture is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec import UNSET, UnsetType

from generation.requests.errors import (
    ControlKindError,
    ControlModeError,
    ControlRangeError,
    ControlSpanError,
    ControlWithUpscaleError,
    PreprocessorUnknownError,
    TooManyControlsError,
)
from generation.requests.prompt_addons import check_file
from generation.requests.ranges import check_number, shorten
from generation.requests.region_errors import RegionsWithUnionError
from generation.translatable import Phrase
from generation.validation import checked

MAX_CONTROLS = 3
MAX_STRENGTH = 2.0
NONE = "none"
PREPROCESSORS: Mapping[str, int] = {NONE: 1, "canny": 1, "lineart": 1, "softedge": 1, "invert": 1}
"""What can be made of a picture before a ControlNet sees it, and the version that new requests use. A version never
changes what it makes (`generation.images.preprocessors`); an older one stays as long as it can be read."""
ADAPTER, UNION = "t2i-adapter", "union"
"""The kinds that are no plain ControlNet."""
MODES: Mapping[str, int] = {
    "pose": 0,
    "depth": 1,
    "softedge": 2,
    "lines": 3,
    "normal": 4,
    "segments": 5,
    "tile": 6,
}
"""What a picture can be to a Union, and the number that it knows it by. Older ones have the first six."""
_MADE = {"canny": "lines", "lineart": "lines", "invert": "lines", "softedge": "softedge"}
"""What preprocessors make, to a Union."""
EVERY_STEP = (0.0, 1.0)
_NUMBER = r"[0-9]*[.,]?[0-9]+"
_SPAN = re.compile(rf"\s*(?P<begin>{_NUMBER})?\s*%?\s*[-–—]\s*(?P<end>{_NUMBER})?\s*%?\s*")
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
    kind: str | UnsetType = UNSET
    """`ADAPTER` or `UNION`; unset for a plain ControlNet, and not written."""
    mode: str | UnsetType = UNSET
    """Of a Union: which of `MODES` its picture is, as it is after the preprocessor."""

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
        if self.kind is not UNSET and self.kind not in (ADAPTER, UNION):
            raise ControlKindError(kind=shorten(self.kind))
        if (self.mode in tuple(MODES)) != (self.kind == UNION) or (self.mode is not UNSET and self.kind != UNION):
            raise ControlModeError(name=self.network, available=", ".join(MODES))

    @property
    def runs_beside(self) -> bool:
        """Return whether it runs beside every forward it is at work in; a T2I-Adapter runs once."""
        return self.kind != ADAPTER

    def is_active(self, index: int, of: int) -> bool:
        """Return whether it is at work in evaluation `index` of a walk of `of`."""
        return self.strength > 0 and not (index / of < self.begin or (index + 1) / of > self.end)


def check_controls(controls: Sequence[Control], *, is_upscale: bool, has_regions: bool = False) -> None:
    """Raise `InvalidRequestError` unless there are one to `MAX_CONTROLS`, and something is painted.

    Rows of a Union see each other. With regions they would not fill a bucket, and would see what others left in it.
    """
    if is_upscale:
        raise ControlWithUpscaleError
    if has_regions and any(each.kind == UNION for each in controls):
        raise RegionsWithUnionError
    if not 1 <= len(controls) <= MAX_CONTROLS:
        raise TooManyControlsError(most=MAX_CONTROLS, number=len(controls))


def read_span(text: str) -> tuple[float, float]:
    """Return begin and end of a part of the steps as people write it: `0-0.5`, `0.2-`, `20-80%`.

    Raise `ControlSpanError` if it is none.
    """
    found = _SPAN.fullmatch(text)
    if found is None or not (found["begin"] or found["end"]):
        raise ControlSpanError(text=shorten(text))
    whole = 100 if "%" in text else 1
    begin, end = (float(part.replace(",", ".")) / whole if part else None for part in (found["begin"], found["end"]))
    return EVERY_STEP[0] if begin is None else begin, EVERY_STEP[1] if end is None else end


def mode_of(preprocessor: str) -> str:
    """Return what a preprocessor makes of any picture, to a Union; empty where that depends on the picture."""
    return _MADE.get(preprocessor, "")


def find_active(controls: Sequence[Control], index: int, of: int) -> Iterator[int]:
    """Yield the places of those at work in evaluation `index` of a walk of `of`."""
    return (place for place, each in enumerate(controls) if each.is_active(index, of))


def find_running(controls: Sequence[Control], index: int, of: int) -> Iterator[int]:
    """Yield the places of those that run beside evaluation `index` of a walk of `of`."""
    return (place for place in find_active(controls, index, of) if controls[place].runs_beside)
