"""Messages of finished jobs, their buttons, and the context menus of a message."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.results import _buttons, _context_menus, _more_buttons, _remix
from cogs.results._messages import DONE, kept, progress
from cogs.results._result import gather, how_shown
from cogs.results._variants import Variant

__all__ = ["DONE", "Variant", "gather", "how_shown", "kept", "progress", "setup"]


async def setup(bot: BaseBot) -> None:
    for menu in _context_menus.MENUS:
        bot.tree.add_command(menu)
    for module in (_buttons, _more_buttons, _remix):
        bot.add_button_handlers(module.PRESSES)
    for module in (_remix, _context_menus):
        bot.add_form_handlers(module.FORMS)
