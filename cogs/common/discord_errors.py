"""What each refusal of Discord's means for a message, and what to try next. One table, by Discord's error code.

https://docs.discord.com/developers/topics/opcodes-and-status-codes#json
A code that is not here falls into a class by its HTTP status. `docs/reliability.md` shows the classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

import discord

from cogs.i18n.gettext import N_

LONGEST_LIMIT_S = 60.0
"""A rate limit that lasts longer is not waited for inside a request."""
MANAGER_PAUSES_S = (60.0, 300.0, 900.0, 1800.0)
"""After each of these, what was kept until a person changes something is tried again."""


class Step(StrEnum):
    """What to try after a refusal."""

    AGAIN = "again"  # the same, later
    MANAGER = "manager"  # kept for now, tried again some times: a manager or the operator has to change something
    LONG_WAIT = "long-wait"  # another way; where there is none, the same after the wait
    ANOTHER_WAY = "another-way"  # with the bot's token instead of the interaction's; a new message instead of an edit
    OPEN_THREAD = "open-thread"  # the same after the thread is taken out of the archive; else another way
    SMALLER = "smaller"  # smaller files
    NO_FILES = "no-files"  # the message without files
    NO_WORDS = "no-words"  # the message without the member's own words
    NO_REFERENCE = "no-reference"  # not as a reply
    PLAIN = "plain"  # another way; where there is none, without files and words
    KEEP = "keep"  # nothing helps: the history has it, and its owner is told


CONTENT = frozenset({Step.SMALLER, Step.NO_FILES, Step.NO_WORDS})
"""The message is at fault, so that no other way helps."""
LATER = frozenset({Step.AGAIN, Step.LONG_WAIT, Step.MANAGER})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal means: the next step, and the reason as people read it."""

    step: Step
    why: str


GONE = N_("the channel was deleted")
NO_TAG = N_("a post there needs a tag, which someone with “Manage Server” can choose in `/settings`")
NO_PERMISSION = N_("I do not have the permission to post there")
NOT_TAKEN = N_("Discord refused the message")
BUSY = N_("Discord did not accept the message for a long time")
_CLOSED_DM = N_("you do not accept direct messages from me")
_NO_TEXT = N_("I cannot post in this kind of channel")
_LOCKED = N_("the thread is locked")
_ARCHIVED = N_("the thread is archived")
_FULL = N_("the server has too many active threads")
_BANNED = N_("I have no access to that server")
_BLOCKED = N_("AutoMod of the server blocked the message")
_TOO_LARGE = N_("the file is too large for Discord there")
_NO_FILES = N_("Discord accepts no files there")
_FLAGGED = N_("Discord has restricted this bot")


def _list_rows() -> Iterator[tuple[Step, str, tuple[int, ...]]]:
    # Wait. 429 and 5xx without a code are waited for by their status.
    yield (
        Step.AGAIN,
        BUSY,
        (
            20016,  # slow mode
            20028,  # write limit of the channel
            20029,  # write limit of the server
            40003,  # opening direct messages too fast
            40004,  # sending messages is disabled for now
            40006,  # a feature is disabled for now
            40043,  # interaction failed to send
            40062,  # a resource is rate limited
            40333,  # Cloudflare blocks the request
            50146,  # the uploaded file was not found
            110000,  # index not yet available
            110001,  # application not yet available
            130000,  # overloaded
        ),
    )
    # This message or token cannot be used any more; another can.
    yield (
        Step.ANOTHER_WAY,
        NOT_TAKEN,
        (
            10002,  # unknown application
            10008,  # unknown message: deleted
            10012,  # unknown token
            10015,  # unknown webhook
            10062,  # unknown interaction
            20022,  # announcement: edited too often
            30046,  # older than an hour: edited too often
            40033,  # already crossposted
            40060,  # already acknowledged
            40094,  # too many follow-ups
            50005,  # not our message
            50021,  # a system message
            50025,  # invalid access token
            50027,  # invalid webhook token
            50068,  # invalid message type
            50080,  # stickers cannot be edited
            50162,  # voice messages cannot be edited
            520003,  # polls cannot be edited
        ),
    )
    yield Step.OPEN_THREAD, _ARCHIVED, (50083,)
    # The message itself.
    yield (
        Step.SMALLER,
        _TOO_LARGE,
        (
            40005,  # request too large
            50045,  # file too large
        ),
    )
    yield (
        Step.NO_FILES,
        _NO_FILES,
        (
            20009,  # explicit content cannot be sent to this recipient
            30015,  # too many attachments
            50046,  # invalid file
            50110,  # invalid file
            50123,  # invalid type of file
            400001,  # uploads are limited for this server
        ),
    )
    yield (
        Step.NO_WORDS,
        _BLOCKED,
        (
            20031,  # words that are not allowed
            200000,  # AutoMod blocked the message
            200001,  # AutoMod blocked the title
            240000,  # filter of harmful links
        ),
    )
    yield (
        Step.NO_REFERENCE,
        NOT_TAKEN,
        (
            160002,  # a reply needs Read Message History
            160014,  # the message referred to cannot be read
        ),
    )
    yield (
        Step.PLAIN,
        NOT_TAKEN,
        (
            10014,  # unknown emoji
            50006,  # empty message
            50035,  # invalid form body
            50109,  # invalid JSON
            50151,  # invalid emoji
        ),
    )
    # A person has to change something: rights, a time-out, the state of the bot or its server.
    yield (
        Step.MANAGER,
        NO_PERMISSION,
        (
            50001,  # no access
            50009,  # verification level too high
            50013,  # no permission; also while the bot is timed out
            60003,  # two-factor authentication is required
        ),
    )
    yield (
        Step.MANAGER,
        _FLAGGED,
        (
            20012,  # not authorized for this application
            20026,  # flagged as spam
            40001,  # unauthorized
            40002,  # the account must be verified
            40012,  # connection revoked
            50014,  # invalid token
            50178,  # the account must be verified
        ),
    )
    yield Step.MANAGER, _FULL, (160006, 160007)  # active threads, of announcements
    yield (
        Step.MANAGER,
        N_("the server does not have enough boosts for that"),
        (
            20015,  # premium subscription
            20035,  # level of the server
            50097,  # monetization
            50101,  # boosts
        ),
    )
    # Nothing helps.
    yield (
        Step.KEEP,
        GONE,
        (
            10003,  # unknown channel
            10004,  # unknown server
            50055,  # invalid server
        ),
    )
    yield (
        Step.KEEP,
        _CLOSED_DM,
        (
            10013,  # unknown user
            50007,  # cannot send messages to this user
            50033,  # invalid recipient
            50278,  # no mutual server
        ),
    )
    yield (
        Step.KEEP,
        _BANNED,
        (
            10007,  # unknown member
            20024,  # under the minimum age
            40007,  # banned from the server
            50095,  # server not available in this location
        ),
    )
    yield (
        Step.KEEP,
        _NO_TEXT,
        (
            20001,  # not for bots
            40058,  # a forum
            50002,  # account type
            50003,  # not in direct messages
            50008,  # not a text channel
            50024,  # type of channel
            220001,  # webhooks and forums
            220002,
            220003,
            220004,
        ),
    )
    yield Step.KEEP, NO_TAG, (40066, 40067)
    yield Step.KEEP, _LOCKED, (160005,)


REFUSALS: Mapping[int, Refusal] = MappingProxyType(
    {code: Refusal(step, why) for step, why, codes in _list_rows() for code in codes}
)
BY_STATUS: Mapping[int, Refusal] = MappingProxyType(
    {
        401: Refusal(Step.MANAGER, _FLAGGED),
        403: Refusal(Step.MANAGER, NO_PERMISSION),
        408: Refusal(Step.AGAIN, BUSY),
        413: Refusal(Step.SMALLER, _TOO_LARGE),
        425: Refusal(Step.AGAIN, BUSY),
        429: Refusal(Step.AGAIN, BUSY),
    }
)
"""For codes that are not in the table, and for the pages of proxies, which have none."""
UNKNOWN, LATER_PERHAPS = Refusal(Step.PLAIN, NOT_TAKEN), Refusal(Step.AGAIN, BUSY)
LONG_WAIT = Refusal(Step.LONG_WAIT, BUSY)
"""A limit beyond `LONGEST_LIMIT_S`: that of one message (30046, 20022) or channel, of which the code is not told."""
_INVALID_FORM = 50035


def classify_error(error: discord.HTTPException | discord.RateLimited) -> Refusal:
    """Return what an error of Discord's means. A status of 5xx counts before its code: it may have been done."""
    if isinstance(error, discord.RateLimited):
        return LONG_WAIT
    if error.status >= 500:
        return LATER_PERHAPS
    if error.code == _INVALID_FORM and "message_reference" in error.text:
        return Refusal(Step.NO_REFERENCE, NOT_TAKEN)
    return REFUSALS.get(error.code) or BY_STATUS.get(error.status, UNKNOWN)
