"""What can be wrong with the regions of a prompt. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class RegionTagError(InvalidRequestError):
    """Write each region by itself, outside of brackets and other tags, and close it: <region:left:a red boat>."""


class UnknownAreaError(InvalidRequestError):
    """A picture has no area “{name}”. Choose one of: {areas}."""


class EmptyRegionError(InvalidRequestError):
    """The region “{area}” has no words. Describe what it shows: <region:{area}:a red boat>."""


class TooManyRegionsError(InvalidRequestError):
    """A prompt may have at most {most} regions, not {number}."""


class HiddenRegionError(InvalidRequestError):
    """The region “{area}” lies wholly below the ones that follow it. Leave it out, or write it behind them."""


class RestUndescribedError(InvalidRequestError):
    """These regions leave a part of the picture open. Describe it, outside of the regions."""


class RegionInNegativePromptError(InvalidRequestError):
    """The negative prompt cannot have regions: it holds for the whole picture."""


class RegionsWithUnionError(InvalidRequestError):
    """A ControlNet Union cannot be used with regions. Leave out one of the two."""
