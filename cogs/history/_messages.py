"""What people read about their past pictures. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from cogs.common.comparison import join_prompts
from cogs.common.formatting import escape_markdown, format_brief_settings, format_small, join_dotted
from cogs.common.messages import Action, Block, Button, Entry, MessageSpec, Picture, Row, Weight
from cogs.i18n.gettext import N_, _
from generation.jobs.delivery import Delivery, DeliveryState
from generation.jobs.history import HistoryFilter
from generation.jobs.job import Job

NO_HISTORY = N_("You have no pictures here yet. Try `/imagine prompt:a red circle on a blue background`.")
NO_MORE = N_("There are no older pictures.")
NOT_FOUND = N_("No pictures match your search.")
NO_FAVOURITES = N_("You have no favourites here yet. Press Favourite under a picture to add one.")
TITLE = N_("### Your pictures here")
KEPT_HERE = N_("not posted, kept here: {reason}")
MAX_SEARCH_BYTES = 30
"""More would not fit into a button."""


@dataclass(frozen=True, slots=True)
class PastJob:
    """A job of the past: its pictures in one small sheet, and how it reached people."""

    job: Job
    sheet: bytes | None
    delivery: Delivery | None
    is_spoiler: bool = False


def build_history(
    past: Sequence[PastJob], look: HistoryFilter, *, guild_id: int, older: datetime | None, is_first: bool
) -> MessageSpec:
    """Return one page of a person's pictures. `older`: from when the next page goes on; None on the last."""
    title = _("### Your favourites here") if look.favourites else _(TITLE)
    if look.words:
        title += ": " + _("“{words}”", words=escape_markdown(look.words))
    if not past:
        return MessageSpec(blocks=(title, _format_nothing(look, is_first)), rows=_build_pager(older, look, is_first))
    blocks: list[Block] = [title]
    for number, each in enumerate(past, start=1):
        text = _format_job(number, each, guild_id)
        if each.sheet is None:
            blocks.append(text)
        else:
            prompt = each.job.request.spec.prompt
            blocks.append(Entry(text, Picture(f"{number}.png", each.sheet, prompt, is_spoiler=each.is_spoiler)))
    opens = tuple(
        Button(Action.OPEN, each.job.id, _("Open {number}", number=number))
        for number, each in enumerate(past, start=1)
        if each.sheet is not None
    )
    pager = _build_pager(older, look, is_first)
    row = opens + (pager[0] if pager else ())
    return MessageSpec(blocks=tuple(blocks), rows=(row,) if row else ())


def _format_job(number: int, each: PastJob, guild_id: int) -> str:
    job = each.job
    lines = [f"**{number}** · {escape_markdown(join_prompts(job.request), limit=160)}"]
    lines.append(
        format_small(join_dotted((f"<t:{int(job.created_at.timestamp())}:R>", format_brief_settings(job.request))))
    )
    place = each.delivery.reply_to if each.delivery is not None else None
    if each.delivery is not None and each.delivery.state is DeliveryState.KEPT:
        reason = each.delivery.last_error or "–"
        lines.append(format_small(_(KEPT_HERE, reason=_(reason))))
    elif place is not None and place.message_id is not None:
        where = guild_id or "@me"
        link = f"https://discord.com/channels/{where}/{place.channel_id}/{place.message_id}"
        lines.append(format_small(_("[to the message]({link})", link=link)))
    return "\n".join(lines)


def _format_nothing(look: HistoryFilter, is_first: bool) -> str:
    if not is_first:
        return _(NO_MORE)
    return _(NOT_FOUND if look.words else NO_FAVOURITES if look.favourites else NO_HISTORY)


def build_page_subject(before: datetime | None, look: HistoryFilter) -> str:
    """Return the subject of a button that turns the page: from when it goes back (microseconds), and what is looked
    for."""
    time = "" if before is None else str(round(before.timestamp() * 1_000_000))
    return f"{time}:{'f' if look.favourites else 'a'}:{look.words.encode().hex()}"


def _build_pager(older: datetime | None, look: HistoryFilter, is_first: bool) -> tuple[Row, ...]:
    buttons: list[Button] = []
    if not is_first:
        buttons.append(Button(Action.HISTORY, build_page_subject(None, look), _("Newest")))
    if older is not None:
        buttons.append(Button(Action.HISTORY, build_page_subject(older, look), _("Older"), weight=Weight.MAIN))
    return (tuple(buttons),) if buttons else ()
