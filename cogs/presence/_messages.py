"""The status of the bot. It is in English, as the task that says it has no reader: one status for every server."""

from __future__ import annotations

from cogs.i18n.gettext import _


def format_status(num_running: int, num_waiting: int, *, is_closed: bool, is_paused: bool) -> str:
    """Return what the bot is doing. It names no server and no member."""
    waiting = _("{number} waiting", number=num_waiting) if num_waiting else ""
    if is_paused:
        return ", ".join(filter(None, (_("paused"), waiting)))
    if num_running or num_waiting:
        return ", ".join(filter(None, (_("painting"), waiting)))
    return _("closed for now") if is_closed else _("ready: /imagine")
