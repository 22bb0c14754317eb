"""How a message reaches people, rung by rung: by the interaction's token, as the bot's own message, as a new one.

Every rung can be climbed twice without a second message appearing: edits are what they are, and a new message is
looked for before it is written, and carries the job's id as a nonce that Discord enforces for some minutes. Which
refusal leads to which rung is said by the table in `cogs.common.discord_errors`.

Whether a token is still good, Discord knows: this machine's clock may be wrong. It is tried until Discord refuses it,
or until 15 minutes have passed since this run received it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Protocol

import aiohttp
import discord
from discord.http import handle_message_parameters
from discord.webhook.async_ import async_context

from cogs.common.components import list_custom_ids
from cogs.common.custom_ids import find_job_id
from cogs.common.discord_errors import LATER, LATER_PERHAPS, Refusal, Step, classify_error
from cogs.common.messages import MessageSpec
from cogs.common.refused_messages import MessageRefusedError, UnreachableError
from cogs.common.rendering import render_edit, render_new
from cogs.context import BaseBot
from cogs.i18n.gettext import N_
from generation.jobs.delivery import DeliveryWay
from generation.jobs.job import ReplyTo

TOKEN_LIFE_S = 15 * 60.0
"""How long Discord takes the token of an interaction."""
MAX_REFUSED, WITHIN_S = 500, 600.0
"""Refused tokens of an earlier run in ten minutes: Discord blocks a bot that is refused 10,000 times."""
_MAX_REMEMBERED = 10_000
_TOKEN_IS_REFUSED = {10015, 10062, 50027}
"""Unknown webhook or interaction; invalid webhook token."""
LOOK_BACK = 50
_ANOTHER_WAY = frozenset({Step.ANOTHER_WAY, Step.OPEN_THREAD, Step.LONG_WAIT, Step.PLAIN})
_NOT_BY_TOKEN = _ANOTHER_WAY | {Step.MANAGER, Step.KEEP}
"""Steps after which the bot's own token may still do."""
_NO_MENTIONS = discord.AllowedMentions.none()
_GARBLED = (TypeError, KeyError, ValueError)
"""What discord.py raises for an answer that is not Discord's, such as a page of a proxy: what was asked may be done."""


class TokenRefusedError(Exception):
    """Discord does not take the token. It is not used again: the next try takes the next way."""


@dataclass(frozen=True, slots=True)
class Posted:
    """Where the message stands."""

    channel_id: int
    message_id: int
    way: DeliveryWay = DeliveryWay.NEW


class MessagePoster:
    """Posts and edits the one message of a job. `monotonic` counts seconds."""

    def __init__(self, client: BaseBot, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._refused: dict[str, None] = {}
        self._refusals: deque[float] = deque(maxlen=MAX_REFUSED)
        """When the last tokens of earlier runs were refused."""

    async def edit(self, reply_to: ReplyTo, say: MessageSpec) -> Posted | None:
        """Change the message there is, by token or as our own. None if there is none that can be changed.

        Raises `Unreachable` when the place is closed to us, `TokenRefusedError` once for a token that Discord refuses,
        `Refused` as the table of refusals says, and other errors for what may pass.
        """
        stands = await self._edit(reply_to, say, opens_thread=False)
        return stands if isinstance(stands, Posted) else None

    async def post(self, job_id: str, reply_to: ReplyTo, say: MessageSpec) -> Posted:
        """Make the message appear once, on whichever rung holds. Raise as `edit` does."""
        stands = await self._edit(reply_to, say, opens_thread=True)
        if isinstance(stands, Posted):
            return stands
        if reply_to.is_private:
            raise _get_private_error(stands)
        earlier = await self._find_earlier(job_id, reply_to)
        if earlier is not None:
            stands = await self._edit_as_bot(reply_to.channel_id, earlier, say, opens_thread=True)
            if isinstance(stands, Posted):
                return replace(stands, way=DeliveryWay.FOUND)
        is_removed = await self._remove_old(reply_to)
        posted = await self._send_new(job_id, reply_to.channel_id, say)
        if not is_removed:  # writing in an archived thread opens it
            await self._remove_old(reply_to)
        return posted

    def has_token(self, reply_to: ReplyTo) -> bool:
        """Return whether there is a token that may be good: it has a rate limit of its own, else the channel's
        counts."""
        if reply_to.token is None or reply_to.token in self._refused:
            return False
        if reply_to.received_s is not None:
            return self._monotonic() - reply_to.received_s < TOKEN_LIFE_S
        return reply_to.is_private or not self._has_tried_enough()

    def _has_tried_enough(self) -> bool:
        is_full = len(self._refusals) == self._refusals.maxlen
        return is_full and self._refusals[0] > self._monotonic() - WITHIN_S

    def _note_refusal(self, token: str) -> None:
        self._refused[token] = None
        self._refusals.append(self._monotonic())
        if len(self._refused) > _MAX_REMEMBERED:
            del self._refused[next(iter(self._refused))]

    async def _edit(self, reply_to: ReplyTo, say: MessageSpec, *, opens_thread: bool) -> Posted | Refusal | None:
        """Return where it stands, else why the last way was refused; None if there was none to try."""
        stands: Posted | Refusal | None = None
        if self.has_token(reply_to):
            stands = await self._edit_via_webhook(reply_to, say)
        if isinstance(stands, Posted) or reply_to.message_id is None or reply_to.is_private:
            return stands
        return await self._edit_as_bot(reply_to.channel_id, reply_to.message_id, say, opens_thread=opens_thread)

    async def _edit_via_webhook(self, reply_to: ReplyTo, say: MessageSpec) -> Posted | Refusal:
        token = reply_to.token
        assert token is not None

        async def edit() -> _Message:
            try:
                return await _edit_answer(self._client, reply_to.application_id, token, say)
            except discord.HTTPException as error:
                if error.code in _TOKEN_IS_REFUSED:
                    self._note_refusal(token)
                    raise TokenRefusedError from None
                raise

        return await _try(edit, reply_to.channel_id, passes_on=_NOT_BY_TOKEN, way=DeliveryWay.TOKEN)

    async def _edit_as_bot(
        self, channel_id: int, message_id: int, say: MessageSpec, *, opens_thread: bool
    ) -> Posted | Refusal:
        message = self._channel(channel_id).get_partial_message(message_id)

        async def edit() -> Posted | Refusal:
            return await _try(
                lambda: message.edit(**render_edit(say), allowed_mentions=_NO_MENTIONS),
                channel_id,
                passes_on=_ANOTHER_WAY,
                way=DeliveryWay.OWN,
            )

        stands = await edit()
        if isinstance(stands, Refusal) and stands.step is Step.OPEN_THREAD and opens_thread:
            return await edit() if await self._open_thread(channel_id) else stands
        return stands

    async def _open_thread(self, channel_id: int) -> bool:
        """Take a thread out of the archive. False where that is not ours to do; a new message may do it then."""
        try:
            await self._client.http.edit_channel(channel_id, archived=False)
        except discord.HTTPException as error:
            if classify_error(error).step in LATER - {Step.MANAGER}:
                raise MessageRefusedError.of(error) from error
            return False
        return True

    async def _find_earlier(self, job_id: str, reply_to: ReplyTo) -> int | None:
        """Return the job among our own recent messages: it was posted, and we never heard that it was.

        The one that could not be edited a moment ago is passed over.
        """
        try:
            async for message in self._channel(reply_to.channel_id).history(limit=LOOK_BACK):
                is_other = message.author == self._client.user and message.id != reply_to.message_id
                if is_other and find_job_id(list_custom_ids(message)) == job_id:
                    return message.id
        except discord.Forbidden:
            return None  # without Read Message History the nonce alone has to do
        except (discord.HTTPException, discord.RateLimited) as error:
            raise _get_final_error(MessageRefusedError.of(error)) from error
        return None

    async def _send_new(self, job_id: str, channel_id: int, say: MessageSpec) -> Posted:
        channel = self._channel(channel_id)
        stands = await _try(
            lambda: channel.send(**render_new(say), nonce=job_id, allowed_mentions=_NO_MENTIONS),
            channel_id,
            passes_on=frozenset({Step.ANOTHER_WAY, Step.OPEN_THREAD}),
        )
        if isinstance(stands, Refusal):
            raise UnreachableError(stands.why)
        return stands

    async def _remove_old(self, reply_to: ReplyTo) -> bool:
        """Delete the message that could not be edited. Whether it is gone.

        It would say for ever that the job is being painted, or show the result a second time after a crash.
        """
        if reply_to.message_id is None:
            return True
        try:
            await self._channel(reply_to.channel_id).get_partial_message(reply_to.message_id).delete()
        except discord.NotFound:
            return True
        except (discord.HTTPException, discord.RateLimited, aiohttp.ClientError, OSError):
            return False
        return True

    def _channel(self, channel_id: int) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(channel_id)


class _Message(Protocol):
    id: int


async def _edit_answer(client: BaseBot, application_id: int, token: str, say: MessageSpec) -> _Message:
    """Edit the answer to an interaction.

    As a webhook of discord.py would, without building one, or the message that Discord returns: of that the id is read.
    """
    with handle_message_parameters(**render_edit(say), allowed_mentions=_NO_MENTIONS) as params:
        data = await async_context.get().edit_original_interaction_response(
            application_id,
            token,
            session=client.http._HTTPClient__session,  # type: ignore[attr-defined]
            payload=params.payload,
            multipart=params.multipart,
            files=params.files,
        )
    return discord.Object(data["id"])


async def _try(
    send: Callable[[], Awaitable[_Message]],
    channel_id: int,
    *,
    passes_on: Collection[Step],
    way: DeliveryWay = DeliveryWay.NEW,
) -> Posted | Refusal:
    """Return where a message stands, or why it was refused if that step is one of `passes_on`. Raise the rest."""
    try:
        message = await send()
    except (discord.HTTPException, discord.RateLimited) as error:
        refused = MessageRefusedError.of(error)
        if refused.step in passes_on:
            return refused.refusal
        raise _get_final_error(refused) from error
    except _GARBLED as error:
        raise MessageRefusedError(LATER_PERHAPS) from error
    return Posted(channel_id, message.id, way)


def _get_private_error(refusal: Refusal | None) -> Exception:
    """Return the error for a private answer: it can be changed by its token only."""
    if refusal is None or refusal.step is Step.ANOTHER_WAY:
        return UnreachableError(N_("the private answer has expired"))
    return MessageRefusedError(refusal) if refusal.step is Step.PLAIN else UnreachableError(refusal.why)


def _get_final_error(refused: MessageRefusedError) -> Exception:
    return UnreachableError(refused.refusal.why) if refused.step is Step.KEEP else refused
