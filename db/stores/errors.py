"""What stores refuse to keep or to find. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class UnknownStyleError(InvalidRequestError):
    """There is no style named “{name}” here. Choose one of: {known}."""


class NoStylesError(InvalidRequestError):
    """There is no style named “{name}” here, and no other yet."""


class TooManyStylesError(InvalidRequestError):
    """This server has {number} styles, as many as it may. Remove one first."""


class ExportTooLargeError(InvalidRequestError):
    """Your data is more than {number} files of {most} MiB, and no more can be sent here. \
Ask the operator of this bot for it: `export` of the command line writes it."""
