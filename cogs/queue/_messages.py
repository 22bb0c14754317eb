"""What people read about the queue. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.comparison import join_prompts
from cogs.common.formatting import (
    bind_words,
    draw_bar,
    escape_markdown,
    format_duration,
    format_pictures,
    format_small,
    join_dotted,
)
from cogs.common.messages import Block, Lines, MessageSpec, Rule, Tone
from cogs.common.status_lines import describe_state, format_boost, format_share
from cogs.i18n.gettext import N_, _, format_count, format_part, ngettext
from generation.jobs.job import Status
from generation.scheduling.active_jobs import JobView

KEY = "queue"
NOTHING_OF_YOURS = N_("You have no requests in the queue here.")
NOTHING_WAITING = N_("The queue is empty here.")


def build_queue(
    views: Sequence[JobView],
    *,
    viewer_id: int,
    num_waiting: int,
    num_running: int,
    share: tuple[float, float],
    boost: float,
    is_ready: bool,
    is_paused: bool = False,
) -> MessageSpec:
    """Who waits in this server. `share`: its weight, and the part of the worker it may claim now.

    Words of prompts are shown to their owner only: channels differ in who reads them.
    """
    blocks: list[Block] = [_("### Queue of this server")]
    shown = tuple(_format_line(view, viewer_id=viewer_id, is_paused=is_paused) for view in views)
    blocks.append(Lines(shown, KEY) if shown else _(NOTHING_WAITING))
    blocks.append(Rule())
    everywhere = ngettext(
        "All servers together: {number} picture in progress, {waiting} waiting.",
        "All servers together: {number} pictures in progress, {waiting} waiting.",
        num_running,
        waiting=format_count(num_waiting),
    )
    turns = _("Servers take turns, and so do the members of a server.")
    notes = [] if is_ready and not is_paused else [describe_state(num_running, is_ready=is_ready, is_paused=is_paused)]
    boosted = [format_boost(boost)] if boost != 1 else []
    lines = (*notes, everywhere, f"{turns} {format_share(*share)}", *boosted)
    blocks.append("\n".join(format_small(line) for line in lines))
    return MessageSpec(blocks=tuple(blocks), tone=Tone.PAINTING if num_running else Tone.WAITING)


def _format_line(view: JobView, *, viewer_id: int, is_paused: bool) -> str:
    job = view.job
    if job.status is Status.RUNNING:
        state = f"{draw_bar(view.progress)} {format_part(view.progress)}"
    elif view.images_ahead:
        state = ngettext("{number} picture ahead", "{number} pictures ahead", view.images_ahead)
    else:
        state = _("next")
    time = [bind_words(format_duration(view.wait_s))] if view.wait_s is not None and not is_paused else []
    whose = bind_words(f"<@{job.owner.user_id}>, {format_pictures(len(job.images))}")
    words = f"\n-# {escape_markdown(join_prompts(job.request), limit=80)}" if job.owner.user_id == viewer_id else ""
    return f"{join_dotted((whose, state, *time))}{words}"


def format_cancelling(number: int) -> str:
    return ngettext(
        "Stopping {number} request. Pictures that have not started cost nothing.",
        "Stopping {number} requests. Pictures that have not started cost nothing.",
        number,
    )
