"""The first minutes in a server: one message, once, with the few choices that matter. It may be ignored."""

from __future__ import annotations

import logging
from contextlib import suppress

import discord

from cogs.language import of_place, speaking
from cogs.services import Services
from cogs.settings_view import setup

log = logging.getLogger(__name__)


async def say_hello(guild: discord.Guild, services: Services) -> bool:
    """Post the set-up where it can be read: the system channel, else the first one. Whether it was posted."""
    if not (await services.operating.admission()).is_admitted(guild.id):
        log.info("guild=%s action=not-admitted", guild.id)
        return False
    channel = _where(guild)
    if channel is None:
        log.info("guild=%s action=no-place-to-say-hello", guild.id)
        return False
    settings = await services.guilds.fetch(guild.id)
    with suppress(discord.HTTPException), speaking(of_place(settings.choices.language, guild.preferred_locale)):
        await channel.send(view=setup(settings), silent=True)
        log.info("guild=%s action=said-hello", guild.id)
        return True
    return False


def _where(guild: discord.Guild) -> discord.TextChannel | None:
    first = [guild.system_channel] if guild.system_channel else []
    for channel in [*first, *guild.text_channels]:
        may = channel.permissions_for(guild.me)
        if may.view_channel and may.send_messages:
            return channel
    return None
