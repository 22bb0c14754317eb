"""What Discord itself shows of the commands, in every language there is: discord.py asks when they are registered.

Names of slash commands and of their options stay English: they are what people type and what others write down.
"""

from __future__ import annotations

from functools import cache

from discord import Locale, app_commands
from discord.app_commands import TranslationContextLocation as Where

from cogs.i18n.gettext import SOURCE, _, match_language, use_language


@cache
def _list_locales() -> frozenset[Locale]:
    """Return the few locales of Discord's whose language is in the catalogue: each text is asked for in all of them."""
    return frozenset(locale for locale in Locale if match_language(str(locale)) != SOURCE)


class Translator(app_commands.Translator):
    """Asks the same catalogue as everything else."""

    async def translate(
        self, string: app_commands.locale_str, locale: Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        if locale not in _list_locales() or not is_translated(context):
            return None
        with use_language(locale):
            said = _(string.message)
        return said if said != string.message else None


def is_translated(context: app_commands.TranslationContextTypes) -> bool:
    """Descriptions, choices, and the names in the menu of a message; not the names that are typed."""
    if context.location is Where.command_name:
        return isinstance(context.data, app_commands.ContextMenu)
    return context.location not in (Where.group_name, Where.parameter_name)
