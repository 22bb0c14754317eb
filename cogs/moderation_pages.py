"""What moderators read: the review queue, and how the safety checker judged. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from cogs.say import Block, Gallery, Picture, Say, Tone
from cogs.words import escaped, plural, small
from generation.safety import Judgement

NOTHING_TO_REVIEW = "Nothing to look at: no reports, and nothing kept back."
WARNED = "<@{user_id}> A moderator deleted pictures of yours. Please mind this server's rules."
REPORTED = "Thank you. The moderators of this server will look at it; nobody else learns that you reported it."
REPORTED_ALREADY = "You have reported that already; the moderators have it."


def review(
    *,
    title: str,
    prompt: str,
    user_id: int,
    reason: str,
    pictures: Sequence[Picture],
    flagged: tuple[int, int],
    num_more: int,
) -> Say:
    """One thing to look at. `flagged`: how many of the member's pictures of 30 days were flagged, of how many."""
    blocks: list[Block] = [f"### {title}", f"> {escaped(prompt)}", f"By <@{user_id}>. {escaped(reason)}"]
    if pictures:
        blocks.append(Gallery(tuple(pictures)))
    blocks.append(small(f"In 30 days {flagged[0]:,} of {plural(flagged[1], 'picture')} of theirs were flagged."))
    if num_more:
        blocks.append(small(f"{num_more:,} more to look at."))
    return Say(blocks=tuple(blocks), tone=Tone.TROUBLE)


def blocked(user_id: int, until: datetime, *, is_for_ever: bool) -> str:
    when = "until you unblock them" if is_for_ever else f"until <t:{int(until.timestamp())}:f>"
    return f"<@{user_id}> can ask for nothing here {when}. What they have in line is still painted."


def stats(judgements: Sequence[Judgement]) -> Say:
    """How the last pictures were judged, and how close to the thresholds they came."""
    if not judgements:
        return Say(blocks=("### Safety", "No picture here was judged yet."))
    num_flagged = sum(each.is_flagged for each in judgements)
    lines = [f"Of the last {plural(len(judgements), 'picture')} **{num_flagged:,}** were flagged."]
    for name in sorted({name for each in judgements for name in each.margins}):
        margins = sorted(each.margins[name] for each in judgements if name in each.margins)
        middle, high, top = (margins[min(len(margins) - 1, int(part * len(margins)))] for part in (0.5, 0.9, 0.99))
        lines.append(f"`{name}` · middle {middle:+.3f} · 90 % below {high:+.3f} · 99 % below {top:+.3f}")
    lines.append(small("Margins over the checker's thresholds: above zero speaks against a picture."))
    return Say(blocks=("### Safety", "\n".join(lines)))
