"""The language a person is spoken to in: the one they chose with `/me`, else that of their Discord."""

from __future__ import annotations

from typing import Any

import discord

from cogs.i18n.gettext import list_languages
from generation.policy.member_preferences import NO_PREFERENCES


def get_locale(interaction: discord.Interaction[Any]) -> str:
    """Return the locale that answers to this person are in. A language that is gone counts as not chosen."""
    chosen = interaction.client.services.preferences.chosen.get(interaction.user.id, NO_PREFERENCES).language
    return chosen if chosen in list_languages() else str(interaction.locale)
