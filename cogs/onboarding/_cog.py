"""The first minutes in a server: one message, once, with the few choices that matter. It may be ignored."""

from __future__ import annotations

import logging

import discord

from cogs.error_handler import LOST, persistently
from cogs.i18n.gettext import of_place, speaking
from cogs.services import Services
from cogs.settings._views import setup

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
    with speaking(of_place(settings.choices.language, guild.preferred_locale)):
        view = setup(settings)
    try:
        await persistently(lambda: channel.send(view=view, silent=True, nonce=f"hello{guild.id}"))
    except LOST as error:
        log.warning("guild=%s action=hello-not-said error=%s", guild.id, type(error).__name__)
        return False
    log.info("guild=%s action=said-hello", guild.id)
    return True


def _where(guild: discord.Guild) -> discord.TextChannel | None:
    first = [guild.system_channel] if guild.system_channel else []
    for channel in [*first, *guild.text_channels]:
        may = channel.permissions_for(guild.me)
        if may.view_channel and may.send_messages:
            return channel
    return None
