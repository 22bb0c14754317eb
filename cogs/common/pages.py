"""What people read beside their pictures: the line, the history, help. Pure: values in, a message out."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from cogs.common.formatting import about, bar, bound, brief_line, dotted, escaped, pictures, small
from cogs.common.messages import Action, Block, Button, Entry, Lines, Picture, Row, Rule, Say, Tone, Weight
from cogs.i18n.gettext import N_, _, counted, ngettext, percent
from generation.jobs.delivery import Delivery, DeliveryState
from generation.jobs.history import Look
from generation.jobs.job import Job, Status
from generation.requests.style import Style
from generation.scheduling.active_jobs import JobView

QUEUE, STYLES, HELP, ABOUT = "queue", "styles", "help", "about"
"""Lists that are shown by pages."""
NO_HISTORY = N_("Nothing here yet. Try `/imagine prompt:a red circle on a blue background`.")
NO_MORE = N_("That was the oldest.")
NOT_FOUND = N_("Nothing like that here.")
NO_FAVOURITES = N_("No favourites here yet: press Favourite under a picture.")
NO_STYLES = N_("No styles yet. `/style add` makes one, for those who manage this server.")
STYLE_KEPT = N_("**{name}** can be chosen with `/imagine style:`.")
STYLE_GONE = N_("**{name}** is gone.")
MAX_STYLE_CHARS = 120
MAX_SEARCH_BYTES = 30
"""More would not fit into a button."""


# The line.


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
    blocks.append(Lines(shown, QUEUE) if shown else _("Nobody is waiting here. The brushes are clean."))
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


def share_line(weight: float, part: float) -> str:
    """What part of the painter a server may claim; its weight only where that is not the usual one."""
    said = _("As things are, {part} of the painter is for this server.", part=percent(part))
    if weight == 1:
        return said
    return said + " " + _("Its weight is {weight}; 1 is usual.", weight=float(weight))


def doing(num_running: int, *, is_ready: bool, is_paused: bool) -> str:
    """What the painter is doing now."""
    if is_paused:
        return _("The painter is having a break: nothing new is begun for now, and everybody keeps their place.")
    if num_running:
        return _("The painter is at work.")
    return _("The painter is ready.") if is_ready else _("The painter is warming up.")


def boosted_line(boost: float) -> str:
    return _("One of your roles counts you {times} times among the members here.", times=float(boost))


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


# The history.


@dataclass(frozen=True, slots=True)
class Remembered:
    """A job of the past: its pictures in one small sheet, and how it reached people."""

    job: Job
    sheet: bytes | None
    delivery: Delivery | None


def history(past: Sequence[Remembered], look: Look, *, guild_id: int, older: datetime | None, is_first: bool) -> Say:
    """One page of somebody's pictures. `older`: from when the next page goes on; None on the last."""
    title = _("### Your favourites here") if look.favourites else _("### Your pictures here")
    if look.words:
        title += ": " + _("“{words}”", words=escaped(look.words))
    if not past:
        return Say(blocks=(title, _nothing(look, is_first)), rows=_pager(older, look, is_first))
    blocks: list[Block] = [title]
    for number, each in enumerate(past, start=1):
        text = _remembered_text(number, each, guild_id)
        if each.sheet is None:
            blocks.append(text)
        else:
            blocks.append(Entry(text, Picture(f"{number}.png", each.sheet, each.job.request.spec.prompt)))
    opens = tuple(
        Button(Action.OPEN, each.job.id, _("Open {number}", number=number))
        for number, each in enumerate(past, start=1)
        if each.sheet is not None
    )
    pager = _pager(older, look, is_first)
    row = opens + (pager[0] if pager else ())
    return Say(blocks=tuple(blocks), rows=(row,) if row else ())


def _remembered_text(number: int, each: Remembered, guild_id: int) -> str:
    job = each.job
    lines = [f"**{number}** · {escaped(job.request.spec.prompt, limit=160)}"]
    lines.append(small(dotted((f"<t:{int(job.created_at.timestamp())}:R>", brief_line(job.request)))))
    place = each.delivery.reply_to if each.delivery is not None else None
    if each.delivery is not None and each.delivery.state is DeliveryState.KEPT:
        reason = each.delivery.last_error or "–"
        lines.append(small(_("kept here: {reason}", reason=_(reason))))
    elif place is not None and place.message_id is not None:
        where = guild_id or "@me"
        link = f"https://discord.com/channels/{where}/{place.channel_id}/{place.message_id}"
        lines.append(small(_("[to the message]({link})", link=link)))
    return "\n".join(lines)


def _nothing(look: Look, is_first: bool) -> str:
    if not is_first:
        return _(NO_MORE)
    return _(NOT_FOUND if look.words else NO_FAVOURITES if look.favourites else NO_HISTORY)


def turned(before: datetime | None, look: Look) -> str:
    """The subject of a button that turns the page: from when it goes back (microseconds), and what is looked for."""
    time = "" if before is None else str(round(before.timestamp() * 1_000_000))
    return f"{time}:{'f' if look.favourites else 'a'}:{look.words.encode().hex()}"


def _pager(older: datetime | None, look: Look, is_first: bool) -> tuple[Row, ...]:
    buttons: list[Button] = []
    if not is_first:
        buttons.append(Button(Action.HISTORY, turned(None, look), _("Newest")))
    if older is not None:
        buttons.append(Button(Action.HISTORY, turned(older, look), _("Older"), weight=Weight.MAIN))
    return (tuple(buttons),) if buttons else ()


# Styles.


def styles(known: Sequence[Style], *, done: str | None = None) -> Say:
    """The styles of a server, `done` first: what was just changed."""
    listed = Lines(tuple(style_line(style) for style in known), STYLES) if known else _(NO_STYLES)
    return Say(blocks=(_("### Styles of this server"), *([done] if done else []), listed))


def style_line(style: Style) -> str:
    """A style by its name and words, cut to what tells it from others."""
    words, negative = escaped(style.prompt, limit=MAX_STYLE_CHARS), escaped(style.negative, limit=MAX_STYLE_CHARS // 2)
    avoided = " · " + _("not {words}", words=negative) if negative else ""
    return f"**{escaped(style.name)}** {words}{avoided}"


# Help.


def help_page(commands: Collection[tuple[str, str, int | None]]) -> Say:
    """For somebody new: what to type first, what the buttons do, their commands (name, what it does, id)."""
    start = _(
        "### Hello, I paint\n"
        "Type `/imagine` and say what you would like to see, for example\n"
        "> a red circle on a blue background"
    )
    buttons = _(
        "**Under the pictures**\n"
        "**U** enlarges one, **V** paints four more like it, **Reroll** tries again.\n"
        "**Remix** changes the words, **More** zooms out, repaints a part, adds detail.\n"
        "**Recipe** shows all settings; with the same seed and settings you get the same picture."
    )
    fair = _(
        "**Waiting**\n"
        "All servers share one painter. Servers take turns, and inside a server its members do, "
        "so nobody is held up by somebody's hundred pictures."
    )
    listed = tuple(f"{_mention(name, command_id)} {_(text)}" for name, text, command_id in commands)
    return Say(blocks=(start, Rule(), buttons, Rule(), fair, Rule(), Lines(listed, HELP)))


def _mention(name: str, command_id: int | None) -> str:
    """A command that can be clicked."""
    return f"</{name}:{command_id}>" if command_id is not None else f"`/{name}`"


def about_page(
    *, models: Sequence[tuple[str, str]], is_ready: bool, num_waiting: int, num_running: int, is_paused: bool = False
) -> Say:
    """What this is and how it is doing."""
    head = _(
        "### Atelier\n"
        "A painter for Discord that runs on its keeper's own machine. Nothing you type leaves it, "
        "and every picture can be made again, byte for byte."
    )
    painted = tuple(small(f"{escaped(name)} ({escaped(licence)})") for name, licence in models)
    now = doing(num_running, is_ready=is_ready, is_paused=is_paused)
    waiting = ngettext("{number} picture is waiting.", "{number} pictures are waiting.", num_waiting)
    lines = (f"{now} {waiting}", _("Models:"))
    return Say(blocks=(head, "\n".join(small(line) for line in lines), Lines(painted, ABOUT)))
