"""Messages of finished jobs, their buttons, and the context menus of a message."""

from __future__ import annotations

from cogs.context import BaseBot
from cogs.results import _alt, _buttons, _context_menus, _more_buttons, _pictures, _remix
from cogs.results._messages import DONE, build_progress, format_undelivered
from cogs.results._reduced_variants import MessageVariant
from cogs.results._refresh import refresh_messages
from cogs.results._result import build_result_message

__all__ = [
    "DONE",
    "MessageVariant",
    "build_progress",
    "build_result_message",
    "format_undelivered",
    "refresh_messages",
    "setup",
]


async def setup(bot: BaseBot) -> None:
    for menu in _context_menus.MENUS:
        bot.tree.add_command(menu)
    for module in (_alt, _buttons, _more_buttons, _pictures, _remix):
        bot.add_button_handlers(module.PRESSES)
    for module in (_alt, _remix, _context_menus):
        bot.add_form_handlers(module.FORMS)
