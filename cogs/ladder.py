"""How a message reaches people, rung by rung: by the interaction's token, as the bot's own message, as a new one.

Every rung can be climbed twice without a second message appearing: edits are what they are, and a new message is
looked for before it is written, and carries the job's id as a nonce that Discord enforces for some minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import discord

from cogs.language import N_
from cogs.paper import changed, custom_ids, new
from cogs.say import Say
from generation.job import ReplyTo
from generation.ports import Clock

if TYPE_CHECKING:
    from cogs.client import AtelierClient

TOKEN_MARGIN = timedelta(minutes=1)
"""A token this close to its end is not used any more: an upload must not be overtaken by it."""
LOOK_BACK = 50
_TOKEN_IS_OF_NO_USE = {10003, 10008, 10015, 10062, 50027}
"""Unknown channel, message, webhook or interaction; invalid webhook token: the next rung may still do."""
_MESSAGE_IS_OF_NO_USE = {10008, 30046}
"""Deleted, or too old to be edited (so often)."""
_NOBODY_CAN = {10003, 10004, 50001, 50007, 50013}
"""Channel or guild gone, no access, closed direct messages, no permission."""
_NO_MENTIONS = discord.AllowedMentions.none()


class Unreachable(Exception):
    """There is no way left to post it. The text says why, to the person concerned."""


@dataclass(frozen=True, slots=True)
class Posted:
    """Where the message stands."""

    channel_id: int
    message_id: int


class Ladder:
    """Posts and edits the one message of a job."""

    def __init__(self, client: AtelierClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def edit(self, reply_to: ReplyTo, say: Say) -> Posted | None:
        """Change the message there is, by token or as our own. None if there is none that can be changed.

        Raises `Unreachable` when the place is closed to us, and discord.py's errors for what may pass.
        """
        if self.has_token(reply_to):
            posted = await self._by_token(reply_to, say)
            if posted is not None:
                return posted
        if reply_to.message_id is None or reply_to.is_private:
            return None
        return await self._by_id(reply_to.channel_id, reply_to.message_id, say)

    async def post(self, job_id: str, reply_to: ReplyTo, say: Say) -> Posted:
        """Make the message appear once, on whichever rung holds. Raises as `edit` does."""
        posted = await self.edit(reply_to, say)
        if posted is not None:
            return posted
        if reply_to.is_private:
            raise Unreachable(N_("the private answer had expired"))
        earlier = await self._find(job_id, reply_to.channel_id)
        if earlier is not None:
            posted = await self._by_id(reply_to.channel_id, earlier, say)
        return posted or await self._anew(job_id, reply_to.channel_id, say)

    def has_token(self, reply_to: ReplyTo) -> bool:
        """Whether a token can be used: it has a rate limit of its own, else the channel's counts."""
        if reply_to.token is None or reply_to.token_expires_at is None:
            return False
        return self._clock() < reply_to.token_expires_at - TOKEN_MARGIN

    async def _by_token(self, reply_to: ReplyTo, say: Say) -> Posted | None:
        assert reply_to.token is not None
        webhook = discord.Webhook.partial(reply_to.application_id, reply_to.token, client=self._client)
        try:
            message = await webhook.edit_message(cast(int, "@original"), **changed(say), allowed_mentions=_NO_MENTIONS)
        except discord.HTTPException as error:
            if error.code in _TOKEN_IS_OF_NO_USE:
                return None
            raise
        return Posted(reply_to.channel_id, message.id)

    async def _by_id(self, channel_id: int, message_id: int, say: Say) -> Posted | None:
        message = self._channel(channel_id).get_partial_message(message_id)
        try:
            await message.edit(**changed(say), allowed_mentions=_NO_MENTIONS)
        except discord.HTTPException as error:
            if error.code in _MESSAGE_IS_OF_NO_USE:
                return None
            raise _meaning(error) from error
        return Posted(channel_id, message_id)

    async def _find(self, job_id: str, channel_id: int) -> int | None:
        """The job among our own recent messages: it was posted, and we never heard that it was."""
        try:
            async for message in self._channel(channel_id).history(limit=LOOK_BACK):
                if message.author == self._client.user and any(job_id in each for each in custom_ids(message)):
                    return message.id
        except discord.Forbidden:
            return None  # without Read Message History the nonce alone has to do
        except discord.HTTPException as error:
            raise _meaning(error) from error
        return None

    async def _anew(self, job_id: str, channel_id: int, say: Say) -> Posted:
        try:
            message = await self._channel(channel_id).send(**new(say), nonce=job_id, allowed_mentions=_NO_MENTIONS)
        except discord.HTTPException as error:
            raise _meaning(error) from error
        return Posted(channel_id, message.id)

    def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(channel_id)


def _meaning(error: discord.HTTPException) -> Exception:
    """`Unreachable` for what trying again cannot mend, else the error itself."""
    if error.code not in _NOBODY_CAN:
        return error
    if isinstance(error, discord.Forbidden):
        return Unreachable(N_("I lack the permission to post there"))
    return Unreachable(N_("the channel is gone"))
