"""Single lines about the state of the queue and a server's share of it. Pure."""

from __future__ import annotations

from cogs.i18n.gettext import N_, _, format_part

SHARE = N_("This server now gets {part} of the bot's time.")
WEIGHT = N_("Its weight is {weight}; the usual weight is 1.")
PAUSED = N_("The bot is paused: it starts no new pictures for now, and everyone keeps their place in the queue.")
BOOST = N_("One of your roles gives you {times} times the share of other members.")


def format_share(weight: float, part: float) -> str:
    """Return what part of the worker a server may claim; its weight only where that is not the usual one."""
    said = _(SHARE, part=format_part(part))
    if weight == 1:
        return said
    return said + " " + _(WEIGHT, weight=float(weight))


def describe_state(num_running: int, *, is_ready: bool, is_paused: bool) -> str:
    """Return what the worker is doing now."""
    if is_paused:
        return _(PAUSED)
    if num_running:
        return _("The bot is painting.")
    return _("The bot is ready.") if is_ready else _("The bot is starting.")


def format_boost(boost: float) -> str:
    return _(BOOST, times=float(boost))
