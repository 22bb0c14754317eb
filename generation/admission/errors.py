"""Why a person may not ask for pictures where they are. The docstring is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError, NotAllowedError


class AspectOrSizeError(InvalidRequestError):
    """Choose either an aspect ratio or a size, not both."""


class EnlargeSizeError(InvalidRequestError):
    """The picture is {width} x {height} pixels. I enlarge pictures with sides of {least} to {most} pixels."""


class ServersOnlyError(NotAllowedError):
    """I paint in servers only, not in direct messages."""


class UserInstallsOffError(NotAllowedError):
    """I paint only in servers that have added me."""


class BlockedError(NotAllowedError):
    """A moderator has blocked you from making requests here."""


class BlockedUntilError(NotAllowedError):
    """A moderator has blocked you from making requests here until {when}."""


class WithheldTooOftenError(NotAllowedError):
    """The safety checker withheld many of your pictures in the last hour. \
Please wait up to an hour before you make new requests. Your other pictures are not lost."""


class MembersUnknownError(NotAllowedError):
    """Whether you are still a member of the server of this key cannot be asked now. Try again in a minute."""


class NoChannelHereError(NotAllowedError):
    """This server decides in which channels pictures are made or seen, and a request over HTTP has none. So keys do \
not work here."""
