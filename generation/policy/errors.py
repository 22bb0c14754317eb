"""What a guild cannot choose, and what its choices do not allow. The docstring is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError, NotAllowedError


class UnknownTimeZoneError(InvalidRequestError):
    """There is no time zone “{name}”. Use a name such as Europe/Berlin or UTC."""


class NegativeQuotaError(InvalidRequestError):
    """A quota must be 0 or more."""


class QuotaWindowError(InvalidRequestError):
    """A quota's window must be from 1 to {most} hours."""


class TooManyNamedError(InvalidRequestError):
    """{name} can be at most {most}, not {number}. Remove some."""


class LanguageCodeError(InvalidRequestError):
    """Choose a language by its code, such as de, or auto."""


class ChannelIdError(InvalidRequestError):
    """Name a channel with defaults by its id, a number."""


class DefaultModelNotAllowedError(InvalidRequestError):
    """The default model “{name}” is not among the models allowed here. Choose one of these, or allow it."""


class SettingsFileError(InvalidRequestError):
    """The file cannot be read as settings: {reason}."""


class KeyNameError(InvalidRequestError):
    """Give the key a name of your own for it, of 1 to {most} characters, that no other key of yours has."""


class TooManyKeysError(InvalidRequestError):
    """You have {most} keys here, and cannot have more. Revoke one that you no longer need."""


class UnknownKeyError(InvalidRequestError):
    """You have no key “{name}” here. `/token list` names those you have."""


class GuildDeniedError(NotAllowedError):
    """The operator of this bot does not let me paint in this server. What you have made here is not lost."""


class GuildNotNamedError(NotAllowedError):
    """I paint only in servers that the operator of this bot has named, and this one is not among them yet."""


class UncheckedModelError(NotAllowedError):
    """Nothing checks what this model paints, so it works in age-restricted channels only."""


class UncheckedUploadError(NotAllowedError):
    """Nothing checks what this model makes of attached pictures, so it starts from them, and from what was made of \
them, in age-restricted channels only."""


class NotYourButtonError(NotAllowedError):
    """In this server only the person who asked for these pictures can press that."""


class NotThisChannelError(NotAllowedError):
    """In this server I paint in {channels} only."""


class NoPaintingRoleError(NotAllowedError):
    """This server lets only members with certain roles paint, and you have none of them."""


class NoStartImageRoleError(NotAllowedError):
    """Here only members with certain roles may start from a picture of their own."""


class ModelNotAllowedError(NotAllowedError):
    """The model “{model}” is not used in this server. Choose one of: {allowed}."""


class StepsNotAllowedError(NotAllowedError):
    """This server allows at most {most} steps, not {asked}."""


class CountNotAllowedError(NotAllowedError):
    """This server allows at most {most} pictures at once, not {asked}."""


class SideNotAllowedError(NotAllowedError):
    """This server allows at most {most} pixels a side, not {asked}."""
