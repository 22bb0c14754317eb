"""Why a request cannot be made from a picture. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError, NotAllowedError


class PictureDeletedError(InvalidRequestError):
    """This picture is not on disk any more. Choose another one."""


class PictureEnlargedError(InvalidRequestError):
    """This picture was enlarged, not painted. Use the one it came from."""


class NotFromWordsError(InvalidRequestError):
    """This picture was made from another picture or is enlarged already. Choose one painted from words alone."""


class StrengthWithoutPictureError(InvalidRequestError):
    """A strength needs a picture to start from. Leave it empty."""


class NoPromptInFileError(InvalidRequestError):
    """The file holds settings of {tool}, but no prompt that I can find."""


class PromptNotReadError(InvalidRequestError):
    """The file holds settings of {tool}, but no prompt outside of what I cannot read: {names}."""


class SourceDeletedError(NotAllowedError):
    """The picture that this one starts from was deleted, so it cannot be used again. Start from another one."""


class NotYourUploadError(NotAllowedError):
    """This starts from a picture that another member attached, so only they can make others of it. \
To start from what you see here, choose “Use as start image” in the menu of its message."""


class NotYourAltTextError(NotAllowedError):
    """Only the person who asked for these pictures can say what is to be seen in them."""


class NotYourPicturesError(NotAllowedError):
    """Only the person who asked for these pictures, or a moderator, can do that."""
