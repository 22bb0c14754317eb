"""Sizes that a model cannot paint. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class SizeFormatError(InvalidRequestError):
    """Write the size as WIDTHxHEIGHT, for example 512x768, not “{text}”."""


class SizeTooLargeError(InvalidRequestError):
    """{width} x {height} pixels are too many for the model “{model}”. A side may be at most {most} pixels."""


class AlreadyLargestError(InvalidRequestError):
    """This picture is as large as pictures get here."""
