"""What moderators read: the review queue, and how the safety checker judged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cogs.common.formatting import escape_markdown, format_small, join_dotted
from cogs.common.message_limits import format_code
from cogs.common.messages import Action, Block, Button, Gallery, MessageSpec, Picture, Tone
from cogs.i18n.gettext import N_, _, format_count, format_part, format_signed, ngettext
from db.stores.moderation import Refusals
from generation.safety.visibility import SafetyScores

NOTHING_TO_REVIEW = N_("There is nothing to review: no reports and no withheld pictures.")
WARNED = N_("{whom} A moderator deleted pictures of yours. Please follow this server's rules.")
REPORTED = N_("Thank you. The moderators of this server will look at it. Only they can see the report.")
REPORTED_ALREADY = N_("You have already reported this. The moderators have your report.")
BY = N_("By {whom}. {reason}")
RATE = N_("This member in the last 30 days: {rate}")
NUM_FLAGGED = N_("pictures flagged: {number} of {all}")
NUM_REFUSED = N_("requests refused by rules: {number} of {all}")
PURGE_QUESTION = N_("Delete all pictures of {whom} in this server from the bot? This cannot be undone.")
_PARTS = (0.5, 0.9, 0.99)


def build_nothing_to_review() -> MessageSpec:
    return MessageSpec(blocks=(_(NOTHING_TO_REVIEW),))


def build_review(
    *,
    title: str,
    prompt: str,
    user_id: int,
    reason: str,
    pictures: Sequence[Picture],
    refusals: Refusals,
    num_more: int,
) -> MessageSpec:
    """One thing to look at. `refusals`: how often the member was refused within 30 days."""
    by = _(BY, whom=f"<@{user_id}>", reason=escape_markdown(reason))
    blocks: list[Block] = [f"### {title}", f"> {escape_markdown(prompt)}", by]
    if pictures:
        blocks.append(Gallery(tuple(pictures)))
    blocks.append(format_small(_(RATE, rate=_format_rate(refusals))))
    if num_more:
        blocks.append(format_small(_("{number} more to review.", number=format_count(num_more))))
    return MessageSpec(blocks=tuple(blocks), tone=Tone.TROUBLE)


def format_blocked(user_id: int, until: datetime, *, is_for_ever: bool) -> str:
    whom, when = f"<@{user_id}>", f"<t:{int(until.timestamp())}:f>"
    if is_for_ever:
        head = _("{whom} cannot make requests here until you unblock them.", whom=whom)
    else:
        head = _("{whom} cannot make requests here until {when}.", whom=whom, when=when)
    return head + " " + _("I still paint what they have in the queue.")


def build_purge_question(user_id: int) -> MessageSpec:
    """Asked before all pictures of a member go."""
    text = _(PURGE_QUESTION, whom=f"<@{user_id}>")
    row = (Button(Action.PURGE, str(user_id), _("Delete all of them")),)
    return MessageSpec(blocks=(text,), rows=(row,), tone=Tone.TROUBLE)


def format_purged(number: int) -> str:
    return ngettext(
        "{number} picture deleted from the bot. Delete messages with it in Discord.",
        "{number} pictures deleted from the bot. Delete messages with them in Discord.",
        number,
    )


def _format_rate(refusals: Refusals) -> str:
    flagged = _(
        NUM_FLAGGED,
        number=format_count(refusals.num_flagged),
        all=format_count(refusals.num_images),
    )
    refused = _(
        NUM_REFUSED,
        number=format_count(refusals.num_refused),
        all=format_count(refusals.num_refused + refusals.num_accepted),
    )
    return join_dotted((flagged, refused))


def format_most_refused(members: Sequence[Refusals]) -> list[Block]:
    """Who is refused most often."""
    lines = [join_dotted((f"<@{each.user_id}>", format_part(each.rate), _format_rate(each))) for each in members]
    title = _("**Most refused in the last 30 days**")
    return ["\n".join((title, *lines))] if lines else []


def build_stats(judgements: Sequence[SafetyScores], members: Sequence[Refusals] = ()) -> MessageSpec:
    """How the last pictures were judged, how close to the thresholds they came, and who is refused most often."""
    if not judgements:
        return MessageSpec(
            blocks=(
                _("### Safety"),
                _("The safety checker has not checked any pictures here yet."),
                *format_most_refused(members),
            )
        )
    num_flagged = sum(each.is_flagged for each in judgements)
    flagged = ngettext(
        "Flagged: **{flagged}** of the one picture so far.",
        "Flagged: **{flagged}** of the last {number} pictures.",
        len(judgements),
        flagged=format_count(num_flagged),
    )
    how = _(
        "The table shows how far pictures are above the checker's thresholds: 50% of them are at or below"
        " the first number, 90% at or below the second, 99% at or below the third. A picture above 0 is "
        "flagged."
    )
    table = _format_margins(judgements)
    shown = (table, format_small(how)) if table else ()
    return MessageSpec(blocks=(_("### Safety"), flagged, *shown, *format_most_refused(members)))


def _format_margins(judgements: Sequence[SafetyScores]) -> str:
    """Return a table, narrow enough for a phone: each of the checker's thresholds, and below it the numbers. May be
    empty."""
    names = sorted({name for each in judgements for name in each.margins})
    lines = ["".join(f"{format_part(part):>8}" for part in _PARTS)]
    for name in names:
        margins = sorted(each.margins[name] for each in judgements if name in each.margins)
        shown = (margins[min(len(margins) - 1, int(part * len(margins)))] for part in _PARTS)
        lines += [name, "".join(f"{format_signed(margin):>8}" for margin in shown)]
    return format_code("\n".join(lines)) if names else ""
