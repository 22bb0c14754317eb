"""“Tell me when done”: an edit rings nobody's bell, so those who asked for it get a message of their own."""

from __future__ import annotations

import logging
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

import discord

from cogs import replies
from cogs.budget import MAX_MENTIONS
from cogs.ladder import Posted
from cogs.language import _
from cogs.plain import plain
from cogs.services import Services

if TYPE_CHECKING:
    from cogs.client import AtelierClient

log = logging.getLogger(__name__)
_DIGITS = string.digits + string.ascii_letters


async def tell_those_who_asked(client: AtelierClient, services: Services, job_id: str, posted: Posted) -> int:
    """Mention them once beneath the finished message, or write to them where that is seen by one person only. How many.

    Best effort: the pictures are there in any case.
    """
    user_ids = await services.keepsakes.fetch_told(job_id)
    if not user_ids:
        return 0
    is_private = (await services.deliveries.fetch(job_id)).reply_to.is_private
    try:
        await (_write_to(client, user_ids) if is_private else _mention(client, job_id, user_ids, posted))
    except discord.HTTPException as error:
        log.info("job=%s action=not-told error=%s", job_id, error.code)
    return len(user_ids)


async def _mention(client: AtelierClient, job_id: str, user_ids: list[int], posted: Posted) -> None:
    """Several messages where one does not hold them all. Each has a nonce of its own, so none is posted twice."""
    channel = client.get_partial_messageable(posted.channel_id)
    for number, some in enumerate(batched(user_ids)):
        await channel.send(
            **plain(mention(some)),
            reference=channel.get_partial_message(posted.message_id).to_reference(fail_if_not_exists=False),
            allowed_mentions=discord.AllowedMentions(users=[discord.Object(each) for each in some]),
            nonce=nonce_of(job_id, number),
        )


def mention(user_ids: Sequence[int]) -> str:
    return " ".join(f"<@{user_id}>" for user_id in user_ids) + " " + _(replies.DONE)


def nonce_of(job_id: str, number: int) -> str:
    """Return what keeps Discord from posting the same twice, of the messages of one job: at most 25 characters."""
    return f"{job_id}.{_DIGITS[number // len(_DIGITS) % len(_DIGITS)]}{_DIGITS[number % len(_DIGITS)]}"


def batched(user_ids: Sequence[int]) -> list[Sequence[int]]:
    """Return the members in groups of as many as one message can mention."""
    return [user_ids[first : first + MAX_MENTIONS] for first in range(0, len(user_ids), MAX_MENTIONS)]


async def _write_to(client: AtelierClient, user_ids: list[int]) -> None:
    for user_id in user_ids:
        channel = await client.create_dm(discord.Object(user_id))
        await channel.send(**plain(_(replies.DONE)))
