"""What can be wrong with a file of a picture. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError


class EmptyFileError(InvalidRequestError):
    """The file is empty. Attach it again."""


class NotAPictureError(InvalidRequestError):
    """The file is not a PNG, JPEG or WebP picture."""


class NotAPngError(InvalidRequestError):
    """The file is not a PNG."""


class PictureDamagedError(InvalidRequestError):
    """The picture is damaged or cut short and cannot be read."""


class PictureSizeError(InvalidRequestError):
    """The picture must have sides of {least} to {most} pixels, and at most 16 megapixels in all."""


class PictureTooCostlyError(InvalidRequestError):
    """The picture takes too long or too much memory to read. Choose a smaller one."""


class PictureTooLargeToSendError(InvalidRequestError):
    """The picture is too large to send."""


class NoRecipeError(InvalidRequestError):
    """The picture carries no recipe of this bot."""
