"""Why a worker cannot paint what was asked for. The log says it in English; the person reads a sentence of the cogs."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class AddonMissingError(InvalidRequestError):
    """“{name}” is not here, or its file has changed."""


class AddonUnusableError(InvalidRequestError):
    """“{name}” cannot be used: {why}"""


class StartFileMissingError(InvalidRequestError):
    """{name} is no longer here."""


class StartFileDamagedError(InvalidRequestError):
    """{name} is damaged and cannot be read."""


class StartFileSizeError(InvalidRequestError):
    """{name} is {width}x{height} pixels, not {wanted_width}x{wanted_height}."""


class SamplerUnusableError(InvalidRequestError):
    """The sampler {name} cannot do this: {reason}"""


class TraceLengthError(InvalidRequestError):
    """The trace has {number} evaluations where this picture takes {wanted}."""


class LatentSizeError(InvalidRequestError):
    """The size must be a multiple of {step} pixels a side."""
