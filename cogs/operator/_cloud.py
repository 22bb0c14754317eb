"""What a cloud worker cost, beside what a picture takes here. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.i18n.gettext import _, format_count, format_number, ngettext
from generation.cloud.money import MILLION, CloudTerms, Spending
from generation.policy.usage import GuildUsage


def format_spending(
    spending: Spending,
    committed: int,
    terms: CloudTerms,
    used: Sequence[GuildUsage],
    units_per_s: float | None,
) -> str:
    """Return what the cloud cost in the days that are shown, and in this month (`committed`)."""
    lines = [
        ngettext(
            "**Cloud** ({host}): {number} paid picture.",
            "**Cloud** ({host}): {number} paid pictures.",
            spending.num_paid,
            host=terms.host,
        )
    ]
    if spending.num_paid:
        each = format_money(spending.spent // spending.num_paid)
        lines.append(_("They cost {spent}, {each} a picture.", spent=format_money(spending.spent), each=each))
    num_images = sum(each.usage.num_images for each in used)
    if units_per_s and num_images:
        seconds = sum(each.usage.used for each in used) / units_per_s / num_images
        shown = format_count(round(seconds)) if seconds >= 10 else format_number(round(seconds, 1))
        lines.append(_("Here a picture takes {number} GPU-seconds.", number=shown))
    this_month = _(
        "This month: {spent} of {budget}, reservations included.",
        spent=format_money(committed),
        budget=format_money(terms.budget),
    )
    return " ".join((*lines, this_month))


def format_money(micros: int) -> str:
    """Return an amount in the operator's money, whatever that is."""
    return format_number(micros / MILLION)
