"""Who may run a server. Discord's own permission settings are a hint to its client; this is the check."""

from __future__ import annotations

from contextlib import suppress

import discord

from cogs.language import N_, in_words, of_place, speaking
from cogs.services import Interaction
from generation.errors import NotAllowed
from generation.phrase import Phrase

NOT_A_MANAGER = N_("Only those who may manage this server (“Manage Server”) can do that.")
ONLY_IN_SERVERS = N_("That belongs to a server: there is nothing to manage in direct messages.")


def require_manager(interaction: Interaction) -> int:
    """The server's id, if the person may manage it. Raises `NotAllowed`."""
    if interaction.guild_id is None:
        raise NotAllowed(why=Phrase(ONLY_IN_SERVERS))
    if not interaction.permissions.manage_guild:
        raise NotAllowed(why=Phrase(NOT_A_MANAGER))
    return interaction.guild_id


async def language_of_server(interaction: Interaction) -> str:
    """The language of what all members of this server read."""
    policy = await interaction.client.services.governance.policy(interaction.guild_id or 0)
    return of_place(policy.choices.language, interaction.guild_locale)


async def tell_log_channel(interaction: Interaction, text: str) -> None:
    """Tell the guild's log channel, if it chose one, who changed what, in the guild's language.

    Best effort: the audit trail has it anyway.
    """
    assert interaction.guild_id is not None, "only those who manage a server change anything"
    policy = await interaction.client.services.governance.policy(interaction.guild_id)
    channel_id = policy.choices.log_channel_id
    if channel_id and interaction.guild is not None and interaction.guild.get_channel_or_thread(channel_id) is not None:
        channel = interaction.client.get_partial_messageable(channel_id, guild_id=interaction.guild_id)
        with speaking(await language_of_server(interaction)), suppress(discord.HTTPException):
            await channel.send(f"<@{interaction.user.id}> {in_words(text)}"[:2000], silent=True)
