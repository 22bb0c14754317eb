"""“Tell me when done”: an edit rings nobody's bell, so those who asked for it get a message of their own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import discord

from cogs import replies
from cogs.ladder import Posted
from cogs.services import Services

if TYPE_CHECKING:
    from cogs.client import AtelierClient

log = logging.getLogger(__name__)
_NONCE_END = ".t"


async def tell_those_who_asked(client: AtelierClient, services: Services, job_id: str, posted: Posted) -> None:
    """Mention them once beneath the finished message. Best effort: the pictures are there in any case."""
    user_ids = await services.keepsakes.fetch_told(job_id)
    if not user_ids:
        return
    channel = client.get_partial_messageable(posted.channel_id)
    try:
        await channel.send(
            " ".join(f"<@{user_id}>" for user_id in user_ids) + " " + replies.DONE,
            reference=channel.get_partial_message(posted.message_id).to_reference(fail_if_not_exists=False),
            allowed_mentions=discord.AllowedMentions(users=[discord.Object(each) for each in user_ids]),
            nonce=job_id + _NONCE_END,
        )
    except discord.HTTPException as error:
        log.info("job=%s action=not-told error=%s", job_id, error.code)
    await services.keepsakes.forget_told(job_id)
