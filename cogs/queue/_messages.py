"""What people read about the queue. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.formatting import about, bar, bound, dotted, escaped, pictures, small
from cogs.common.messages import Block, Lines, Rule, Say, Tone
from cogs.common.status_lines import boosted_line, doing, share_line
from cogs.i18n.gettext import N_, _, counted, ngettext, percent
from generation.jobs.job import Status
from generation.scheduling.active_jobs import JobView

KEY = "queue"
NOTHING_OF_YOURS = N_("You have nothing in line here.")


def queue(
    views: Sequence[JobView],
    *,
    viewer_id: int,
    num_waiting: int,
    num_running: int,
    share: tuple[float, float],
    boost: float,
    is_ready: bool,
    is_paused: bool = False,
) -> Say:
    """Who waits in this server. `share`: its weight, and the part of the painter it may claim now.

    Words of prompts are shown to their owner only: channels differ in who reads them.
    """
    blocks: list[Block] = [_("### In line here")]
    shown = tuple(_line(view, viewer_id=viewer_id, is_paused=is_paused) for view in views)
    blocks.append(Lines(shown, KEY) if shown else _("Nobody is waiting here. The brushes are clean."))
    blocks.append(Rule())
    everywhere = ngettext(
        "Over all servers {number} picture being painted, {waiting} waiting.",
        "Over all servers {number} pictures being painted, {waiting} waiting.",
        num_running,
        waiting=counted(num_waiting),
    )
    turns = _("Servers take turns, and so do the members of each.")
    notes = [] if is_ready and not is_paused else [doing(num_running, is_ready=is_ready, is_paused=is_paused)]
    boosted = [boosted_line(boost)] if boost != 1 else []
    lines = (*notes, everywhere, f"{turns} {share_line(*share)}", *boosted)
    blocks.append("\n".join(small(line) for line in lines))
    return Say(blocks=tuple(blocks), tone=Tone.PAINTING if num_running else Tone.WAITING)


def _line(view: JobView, *, viewer_id: int, is_paused: bool) -> str:
    job = view.job
    if job.status is Status.RUNNING:
        state = f"{bar(view.progress)} {percent(view.progress)}"
    elif view.images_ahead:
        state = ngettext("{number} picture ahead", "{number} pictures ahead", view.images_ahead)
    else:
        state = _("next")
    time = [bound(about(view.wait_s))] if view.wait_s is not None and not is_paused else []
    whose = bound(f"<@{job.owner.user_id}>, {pictures(len(job.images))}")
    words = f"\n-# {escaped(job.request.spec.prompt, limit=80)}" if job.owner.user_id == viewer_id else ""
    return f"{dotted((whose, state, *time))}{words}"


def cancelling(number: int) -> str:
    return ngettext(
        "Stopping {number} request. What has not begun costs nothing.",
        "Stopping {number} requests. What has not begun costs nothing.",
        number,
    )
