"""“Tell me when done”: an edit notifies no one, so members who asked for it get a message of their own."""

from __future__ import annotations

import logging
import string
from collections.abc import Sequence
from functools import partial

import discord

from cogs.common.discord_errors import Step, classify_error
from cogs.common.message_limits import MAX_MENTIONS
from cogs.common.plain_text import build_plain
from cogs.context import BaseBot
from cogs.delivery._poster import Posted
from cogs.i18n.gettext import _
from cogs.results import DONE
from cogs.services import Services
from generation.jobs.job import Job
from generation.owner import USER_TENANT

log = logging.getLogger(__name__)
_DIGITS = string.digits + string.ascii_letters


async def notify_subscribers(client: BaseBot, services: Services, job_id: str, posted: Posted) -> int:
    """Mention them once beneath the finished message, or write to them where that is seen by one person only. How many.

    What Discord refuses is only logged: the pictures are there in any case. Raise `discord.HTTPException` if Discord
    is down: it may work later, and the nonce keeps it from being said twice.
    """
    user_ids = await services.favourites.fetch_notified(job_id)
    if not user_ids:
        return 0
    if (await services.deliveries.fetch(job_id)).reply_to.is_private:
        for user_id in user_ids:
            await _write_to(client, job_id, user_id, _(DONE))
    else:
        await _send_mentions(client, job_id, user_ids, posted)
    return len(user_ids)


async def notify_owner(client: BaseBot, services: Services, job: Job, text: str) -> bool:
    """Write to a job's owner, if they asked to be told when it is done. Whether it could be said.

    Where they brought the bot along, they are told without asking: they may not use it again for long.
    """
    is_asked = job.owner.guild_id == USER_TENANT or job.owner.user_id in await services.favourites.fetch_notified(
        job.id
    )
    return is_asked and await _write_to(client, job.id, job.owner.user_id, text)


async def _send_mentions(client: BaseBot, job_id: str, user_ids: list[int], posted: Posted) -> None:
    """Several messages where one does not hold them all. Each has a nonce of its own, so none is posted twice."""
    for number, some in enumerate(split_batches(user_ids)):
        try:
            await _send_mention(client, some, posted, nonce=build_nonce(job_id, number))
        except (discord.HTTPException, discord.RateLimited) as error:
            _log_refusal(job_id, error)


async def _send_mention(client: BaseBot, user_ids: Sequence[int], posted: Posted, *, nonce: str) -> None:
    """As a reply where Discord takes one, else as a message of its own."""
    channel = client.get_partial_messageable(posted.channel_id)
    allowed = discord.AllowedMentions(users=[discord.Object(each) for each in user_ids])
    send = partial(channel.send, **build_plain(build_mention(user_ids)), allowed_mentions=allowed, nonce=nonce)
    try:
        await send(reference=channel.get_partial_message(posted.message_id).to_reference(fail_if_not_exists=False))
    except discord.HTTPException as error:
        if classify_error(error).step is not Step.NO_REFERENCE:
            raise
        await send()


def build_mention(user_ids: Sequence[int]) -> str:
    return " ".join(f"<@{user_id}>" for user_id in user_ids) + " " + _(DONE)


def build_nonce(job_id: str, number: int) -> str:
    """Return what keeps Discord from posting the same twice, of the messages of one job: at most 25 characters."""
    return f"{job_id}.{_DIGITS[number // len(_DIGITS) % len(_DIGITS)]}{_DIGITS[number % len(_DIGITS)]}"


def split_batches(user_ids: Sequence[int]) -> list[Sequence[int]]:
    """Return the members in groups of as many as one message can mention."""
    return [user_ids[first : first + MAX_MENTIONS] for first in range(0, len(user_ids), MAX_MENTIONS)]


async def _write_to(client: BaseBot, job_id: str, user_id: int, text: str) -> bool:
    """Write a direct message. Whether Discord took it: one member's closed messages keep no other from being told."""
    try:
        channel = await client.create_dm(discord.Object(user_id))
        await channel.send(**build_plain(text), nonce=build_nonce(job_id, 0))
    except (discord.HTTPException, discord.RateLimited) as error:
        _log_refusal(job_id, error)
        return False
    return True


def _log_refusal(job_id: str, error: discord.HTTPException | discord.RateLimited) -> None:
    if isinstance(error, discord.HTTPException) and error.status >= 500:
        raise error
    log.info("job=%s action=not-told reason=%s error=%s", job_id, classify_error(error).step, error)
