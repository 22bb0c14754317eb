"""Single lines about the state of the queue and a server's share of it. Pure."""

from __future__ import annotations

from cogs.i18n.gettext import N_, _, format_part

SHARE = N_("As things are, {part} of the painter is for this server.")
WEIGHT = N_("Its weight is {weight}; 1 is usual.")
PAUSED = N_("The painter is having a break: nothing new is begun for now, and everybody keeps their place.")
BOOST = N_("One of your roles counts you {times} times among the members here.")


def format_share(weight: float, part: float) -> str:
    """Return what part of the painter a server may claim; its weight only where that is not the usual one."""
    said = _(SHARE, part=format_part(part))
    if weight == 1:
        return said
    return said + " " + _(WEIGHT, weight=float(weight))


def describe_state(num_running: int, *, is_ready: bool, is_paused: bool) -> str:
    """Return what the painter is doing now."""
    if is_paused:
        return _(PAUSED)
    if num_running:
        return _("The painter is at work.")
    return _("The painter is ready.") if is_ready else _("The painter is warming up.")


def format_boost(boost: float) -> str:
    return _(BOOST, times=float(boost))
