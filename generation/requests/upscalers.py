"""The upscalers that the operator added, and which of them a request may call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import UnsetType

from generation.requests.edits import DOUBLE, Upscale, UpscaleNetwork
from generation.requests.errors import AddonChangedError, UnknownUpscalerError, UpscalerFactorError

SCALES = (1, 2, 3, 4, 8)
"""What an upscaler may multiply a side by."""
_OFFERED = (DOUBLE, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upscaler:
    """A network in one file that enlarges finished pictures of any model."""

    name: str
    path: Path
    sha256: str
    scale: int
    """How many times the width and height come out of the network."""
    licence: str = ""

    @property
    def factors(self) -> tuple[int, ...]:
        """How many times a picture may come out: what is left over is averaged. The first where none is named."""
        return tuple(each for each in _OFFERED if self.scale % each == 0) or (self.scale,)

    def require_factor(self, factor: int) -> None:
        """Raise `UpscalerFactorError` if a picture cannot come out that many times as large."""
        if factor not in self.factors:
            raise UpscalerFactorError(name=self.name, factors=", ".join(map(str, self.factors)), factor=factor)


def find_upscaler(upscalers: Sequence[Upscaler], name: str) -> Upscaler:
    """Return the upscaler of that name. Raise `UnknownUpscalerError`, with the names there are."""
    found = next((each for each in upscalers if each.name == name), None)
    if found is None:
        raise UnknownUpscalerError(name=name[:60], available=_join(upscalers))
    return found


def build_upscale(upscaler: Upscaler | None, sha256: str, *, factor: int | None = None) -> Upscale:
    """Return the enlargement of a file by an upscaler; by what its model has for None.

    Raise `InvalidRequestError` for a factor that it does not give.
    """
    if upscaler is None:
        return Upscale(sha256=sha256, factor=DOUBLE if factor is None else factor)
    factor = upscaler.factors[0] if factor is None else factor
    upscaler.require_factor(factor)
    return Upscale(sha256=sha256, factor=factor, network=UpscaleNetwork(name=upscaler.name, sha256=upscaler.sha256))


def check_upscale(upscalers: Sequence[Upscaler], upscale: Upscale) -> None:
    """Raise `InvalidRequestError` unless the upscaler that it calls is here, is the same file, and gives that size.

    For requests that were not just made: those of old recipes, and of files that say what they like.
    """
    if isinstance(upscale.network, UnsetType):
        return
    found = find_upscaler(upscalers, upscale.network.name)
    if found.sha256 != upscale.network.sha256:
        raise AddonChangedError(name=found.name)
    found.require_factor(upscale.factor)


def _join(upscalers: Iterable[Upscaler]) -> str:
    return ", ".join(each.name for each in upscalers) or "-"
