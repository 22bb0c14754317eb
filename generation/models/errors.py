"""Sizes and samplers that a model cannot paint with. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class SizeFormatError(InvalidRequestError):
    """Write the size as WIDTHxHEIGHT, for example 512x768, not “{text}”."""


class SizeTooLargeError(InvalidRequestError):
    """{width} x {height} pixels are too many for the model “{model}”. A side may be at most {most} pixels."""


class PictureTooLargeError(InvalidRequestError):
    """{width} x {height} pixels need more memory than there is here with “{model}”. Choose at most {side} x {side}."""


class ModelTooLargeHereError(InvalidRequestError):
    """“{model}” needs more memory than there is here. Try another, or ask for `--half` or `ATELIER_MEMORY=offload`."""


class SideStepError(InvalidRequestError):
    """Both sides must be multiples of {step} pixels for the model “{model}”, not {width} x {height}."""


class SamplerNotOfModelError(InvalidRequestError):
    """The sampler “{name}” does not work with the model “{model}”. Choose one of: {samplers}."""


class AlreadyLargestError(InvalidRequestError):
    """This picture is as large as pictures get here."""
