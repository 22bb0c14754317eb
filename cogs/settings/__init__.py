"""/settings, /style and /defaults: what a server chooses."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.settings import _audit_log, _cog, _defaults_cog, _style_cog
from cogs.settings._views import build_setup_view

__all__ = ["build_setup_view", "setup"]


async def setup(bot: BaseBot) -> None:
    await bot.add_cog(_style_cog.StyleGroup())
    await bot.add_cog(_defaults_cog.DefaultsGroup())
    await bot.add_cog(_cog.SettingsPanel())
    bot.add_dynamic_items(_cog.SettingItem)
    bot.add_form_handlers(_cog.FORMS)
    bot.add_lists(_audit_log.LISTS | _style_cog.LISTS | _defaults_cog.LISTS)
