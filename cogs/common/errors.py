"""What people cannot ask for in Discord. The docstring of a class is the sentence a person reads."""

from __future__ import annotations

from generation.errors import InvalidRequestError, NotAllowedError


class NotANumberError(InvalidRequestError):
    """{name} must be a number, not “{text}”."""


class NotAWholeNumberError(InvalidRequestError):
    """{name} must be a whole number, not “{text}”."""


# Comparisons.


class NothingToCompareError(InvalidRequestError):
    """Name several values of one option, for example `sampler: Euler, Heun`, or several prompts with “ | ” between."""


class TooManyAxesError(InvalidRequestError):
    """Compare one or two options at once, not {number}: {names}."""


class TooManyCellsError(InvalidRequestError):
    """A comparison has at most {most} pictures, not {number}."""


class ValueTwiceError(InvalidRequestError):
    """{name}: “{value}” is there twice. Name each value once."""


class RangeBackwardsError(InvalidRequestError):
    """{name}: “{text}” ends before it begins."""


# Pictures and files.


class PictureReferenceError(InvalidRequestError):
    """Name the picture by its id, or by the link to its message."""


class OnePictureError(InvalidRequestError):
    """Name a picture by its id or link, or attach a file: one of the two."""


class ImageOrFromError(InvalidRequestError):
    """Choose the picture either by `image` or by `from`, not both."""


class NoSourceError(InvalidRequestError):
    """Attach a picture as `image`, or name one in `from`."""


class NoLastPictureError(InvalidRequestError):
    """You have no picture in this channel yet. Name one in `from` by its id or by the link to its message."""


class WhichPictureError(InvalidRequestError):
    """There are {most} pictures. Write a space and the number of one, 1 to {most}, after the id or link in `from`."""


class UnreadMessageError(InvalidRequestError):
    """I can read pictures in messages of others only when you show them to me: choose “Use as start image” or \
“Upscale” in the menu of that message (“Apps”)."""


class ReferenceTwiceError(InvalidRequestError):
    """Choose the reference either by `reference` or by `reference_from`, not both."""


class NoReferenceError(InvalidRequestError):
    """Attach the picture to look at as `reference`, or name one in `reference_from`."""


class OneAdapterError(InvalidRequestError):
    """Choose one IP-Adapter, not two: a picture has one reference."""


class SecondNetMissingError(InvalidRequestError):
    """Name the second ControlNet too, with `net2`."""


class KeepsSizeError(InvalidRequestError):
    """A picture of mine keeps its size, here {width} x {height}. Leave out `aspect` and `size`."""


class PictureNumberError(InvalidRequestError):
    """Choose the picture by a number from 1 to {most}."""


class SeveralPicturesError(InvalidRequestError):
    """That message holds several pictures. Choose one with a button or in a menu under it."""


class NoPictureInMessageError(InvalidRequestError):
    """That message holds no picture that I can use."""


class FileNotOnDiscordError(InvalidRequestError):
    """The file is not on Discord. Attach it to your message."""


class FileNotFetchedError(InvalidRequestError):
    """The file could not be fetched from Discord, or is empty. Attach it again."""


class OptionFileError(InvalidRequestError):
    """`{option}`: {why}"""


class NoSettingsError(InvalidRequestError):
    """The file does not say how it was made: it holds no recipe of this bot, and no settings of a tool that I know."""


class MaskSizeError(InvalidRequestError):
    """The mask must be as large as the picture: {width} x {height} pixels."""


class PartsOrMaskError(InvalidRequestError):
    """Choose either parts of the picture or a mask: one of the two."""


class ExpiredFormError(InvalidRequestError):
    """That form was opened too long ago. Choose it in the menu of the message (“Apps”) again."""


# Servers.


class SearchTooLongError(InvalidRequestError):
    """The search is too long. Use a word or two."""


class ServerIdError(InvalidRequestError):
    """Name the server by its id, a number: choose it while typing."""


class OneMemberError(InvalidRequestError):
    """Name the member either in the menu or by an id: one of the two."""


class RoleDeletedError(InvalidRequestError):
    """That role is not in this server any more. Choose another one."""


class IdError(InvalidRequestError):
    """The id must be the number Discord gives it: see “Copy ID” in Discord's developer mode."""


class IdAloneError(InvalidRequestError):
    """Give the id alone, without a role or a member."""


class RoleOrMemberError(InvalidRequestError):
    """Choose either a role or a member, not both."""


class UnknownQuotaError(InvalidRequestError):
    """There is no such quota. `/quota show` lists all there are."""


class ModelsInFileError(InvalidRequestError):
    """The file names models that are not here: {models}. Remove them from it."""


class NoDefaultsError(InvalidRequestError):
    """Choose at least one of steps, guidance, sampler and negative. `/defaults reset` removes what was chosen."""


class NoPreferencesError(InvalidRequestError):
    """Choose at least one of your defaults. `/me reset` forgets what you chose."""


class NotOfferedError(InvalidRequestError):
    """{title}: this cannot be chosen. Choose from the menu."""


class StylesInServerError(InvalidRequestError):
    """Styles belong to a server. Use this command in one."""


class ListsInServerError(InvalidRequestError):
    """Lists belong to a server. Use this command in one."""


class NotSureError(InvalidRequestError):
    """Write {word} as `sure`: this deletes everything and cannot be undone."""


# Who may do what.


class ManagedInServerError(NotAllowedError):
    """This command works only in servers that have added the bot."""


class RolesUnknownError(NotAllowedError):
    """I do not know the roles of this server yet, so I cannot check your permissions. Try again in a minute."""


class NotAManagerError(NotAllowedError):
    """Only members with the permission “Manage Server” can do that."""


class NotAModeratorError(NotAllowedError):
    """Only members with the permission “Manage Messages” in the whole server can do that."""


class NotTheOperatorError(NotAllowedError):
    """Only the operator of this bot can do that."""


class AgeRestrictedSourceError(NotAllowedError):
    """That picture is in an age-restricted channel, so it can be used only in age-restricted channels."""


class HiddenSourceError(NotAllowedError):
    """That picture may not be shown in this channel, so nothing can be made from it here."""


class NoShowcaseError(NotAllowedError):
    """This server has chosen no channel for sharing. Someone with “Manage Server” can choose one in `/settings`."""


class ShowcaseClosedError(NotAllowedError):
    """I cannot share in {channel}: I do not have the permission {names} there."""


class SharedHereError(NotAllowedError):
    """The pictures are in {channel} already, where this server shares them."""


class AgeRestrictedShareError(NotAllowedError):
    """These pictures are from an age-restricted channel, and {channel} is not age-restricted."""


class NothingToShareError(NotAllowedError):
    """None of these pictures may be shown in {channel}, or none is on disk any more."""


class NotYourShareError(NotAllowedError):
    """Only the person who asked for these pictures, or a moderator, can share them or take them back. \
Private pictures can be shared by their owner only."""


class ShareRefusedError(NotAllowedError):
    """Discord did not take the post in {channel}: {reason}."""


class CannotPostError(NotAllowedError):
    """I cannot post pictures here: I do not have the permission {names} in this channel."""


class ApiOffError(NotAllowedError):
    """The operator of this bot has not switched on the API, so a key would open nothing."""


class ChannelsDeletedError(NotAllowedError):
    """This server lets me paint only in channels that were deleted. \
Someone with “Manage Server” can choose others in `/settings`."""


class RolesDeletedError(NotAllowedError):
    """This server lets only members with certain roles paint, and those roles were deleted. \
Someone with “Manage Server” can choose others in `/settings`."""


class ModelsGoneError(NotAllowedError):
    """This server allows only models that were removed from this bot. \
Someone with “Manage Server” can choose others in `/settings`."""
