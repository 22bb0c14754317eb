"""Broadcast an operator announcement to every server once, silently, where its managers read such messages."""

from __future__ import annotations

import asyncio
import hashlib
import logging

import discord

from cogs.common.plain_text import build_plain
from cogs.common.posting_permissions import can_write_in
from cogs.common.posting_turns import PostingTurns
from cogs.context import BaseBot
from cogs.error_handler import LOST
from cogs.i18n.gettext import N_, _, get_guild_language, use_language
from generation.scheduling.delivery_turns import DeliveryTurns, Post

log = logging.getLogger(__name__)
MAX_ANNOUNCEMENT_CHARS = 1800
AT_ONCE = 4
_HEAD = N_("**A message from the operator of this bot**")


async def broadcast(client: BaseBot, text: str) -> tuple[int, int]:
    """Tell every server that is served. How many were told, and how many have no place for it."""
    admission = await client.services.operator.admission()
    served = [guild for guild in client.guilds if admission.is_admitted(guild.id)]
    places = PostingTurns(DeliveryTurns.unlimited(places=AT_ONCE))

    async def tell(order: int, guild: discord.Guild) -> bool:
        async with places.turn(Post(order, "announcement", guild.id, guild.id, is_limited_by_channel=False)):
            return await _tell(client, guild, text)

    told = sum(await asyncio.gather(*(tell(order, guild) for order, guild in enumerate(served))))
    log.info("action=announced guilds=%s untold=%s", told, len(served) - told)
    return told, len(served) - told


async def _tell(client: BaseBot, guild: discord.Guild, text: str) -> bool:
    """Send it to a guild. Its nonce is the announcement's own: sent again within minutes, Discord posts it only
    once."""
    settings = await client.services.guilds.fetch(guild.id)
    chosen = guild.get_channel_or_thread(settings.choices.log_channel_id)
    for channel in (chosen, guild.system_channel):
        if not isinstance(channel, discord.TextChannel | discord.Thread) or not can_write_in(channel):
            continue
        with use_language(get_guild_language(settings.choices.language, guild.preferred_locale)):
            head = _(_HEAD)
        nonce = hashlib.sha256(f"{guild.id} {text}".encode()).hexdigest()[:25]
        try:
            await channel.send(
                **build_plain(f"{head}\n{text}"),
                silent=True,
                nonce=nonce,
                allowed_mentions=discord.AllowedMentions.none(),
            )
        except discord.HTTPException as error:
            log.info("guild=%s action=not-announced error=%s", guild.id, error.code)
            continue
        except LOST as error:  # it may have been posted all the same, so it is not tried elsewhere
            log.info("guild=%s action=not-announced error=%s", guild.id, type(error).__name__)
            return False
        return True
    return False
