"""What a finished message offers to do next: the usual as buttons, the rest in one menu. Pure.

A phone shows about five short buttons in a row, and a menu takes one row however long it is: so U and V for each
picture, then what concerns them all, then the menu. More than four pictures have menus in place of U and V, and one
that opens a picture of them with all its own buttons.
"""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.comparison import format_cell
from cogs.common.message_limits import MAX_OPTION, MAX_OPTIONS, cut_text
from cogs.common.messages import Action, Button, Menu, Row, Weight
from cogs.i18n.gettext import N_, _
from generation.jobs.job import Image, Job
from generation.models.sizes import can_be_upscaled

MAX_IN_ROW = 5
MAX_NAME = 70
"""Of a picture in a menu, in characters."""
MAX_WITH_BUTTONS = 4
"""Pictures that have buttons of their own."""
_FOR_EACH = (
    (Action.STRONG, N_("Vary strongly")),
    (Action.REGION, N_("Vary a region")),
    (Action.ZOOM_HALF, N_("Zoom out 1.5×")),
    (Action.ZOOM, N_("Zoom out 2×")),
    (Action.DETAIL, N_("Enlarge with new detail")),
    (Action.REPRODUCE, N_("Reproduce")),
)


def build_action_rows(
    job: Job,
    done: Sequence[Image],
    *,
    is_upscaled: bool = True,
    is_part: bool = False,
    share: Action | None = None,
) -> tuple[tuple[Row, ...], tuple[Menu, ...]]:
    """Rows of buttons and the menus, for the pictures of an ended job that came to be.

    `is_upscaled`: there is an upscaler for them; else they can only be resized. `is_part`: the job is one picture of
    several (`Job.only`): what concerns them all is under the message of all. `share`: what may be done about a shared
    post of them.
    """
    there = [image for image in done if image.file_sha256 is not None]
    rows: tuple[Row, ...]
    if len(job.images) > MAX_WITH_BUTTONS:
        row = (*_build_again(job, job.id, bool(done)), *(_build_keep(job, job.id) if done else ()))
        rows = (row, _build_share(job, share) if there else ())
        return tuple(each for each in rows if each), _build_menus_of_many(job, there, is_upscaled=is_upscaled)
    is_one = len(job.images) == 1
    is_painted = job.request.spec.upscale is None
    ups = [
        _build_image_button(Action.UPSCALE, image, _label_upscale(image, is_one=is_one, is_upscaled=is_upscaled))
        for image in there
        if can_be_upscaled(image.spec)
    ]
    varies = [
        _build_image_button(Action.VARY, image, _("Vary") if is_one else f"V{image.index + 1}") for image in there
    ]
    first = tuple(ups)
    second = tuple(varies) if is_painted else ()
    subject = f"{job.id}:{job.images[0].index}" if is_part else job.id
    again, keep = _build_again(job, subject, bool(done)), _build_keep(job, subject) if done else ()
    keep = keep[:1] if is_part else keep
    more, alt = _build_more(job, there), _build_alt(subject) if there else ()
    more, left = ((*more, *alt), ()) if len(more) < MAX_OPTIONS else (more, alt)
    publish = (*left, *(_build_share(job, share) if there and not is_part else ()))
    rows = (first, second, (*again, *keep), publish)
    if is_one:
        new, rest = (*first, *second, *again[:1]), (*again[1:], *keep, *publish)
        rows = ((*new, *rest),) if len(new) + len(rest) <= MAX_IN_ROW else (new, rest[:MAX_IN_ROW], rest[MAX_IN_ROW:])
    return tuple(row for row in rows if row), ((Menu(job.id, _("More …"), more),) if more else ())


def _label_upscale(image: Image, *, is_one: bool, is_upscaled: bool) -> str:
    if is_upscaled:
        return _("Upscale") if is_one else f"U{image.index + 1}"
    return _("Enlarge (resize)") if is_one else _("Resize {number}", number=image.index + 1)


def _build_again(job: Job, subject: str, has_pictures: bool) -> Row:
    if job.request.spec.upscale is not None:
        return ()
    reroll = Button(Action.REROLL, subject, _("Reroll") if has_pictures else _("Try again"), Weight.MAIN)
    return (reroll,) if job.request.comparison else (reroll, Button(Action.REMIX, subject, _("Remix")))


def _build_keep(job: Job, subject: str) -> Row:
    return (
        Button(Action.RECIPE, subject, _("Recipe")),
        Button(Action.FAVOURITE, job.id, _("Favourite")),
        Button(Action.DELETE, job.id, _("Delete")),
    )


def _build_menus_of_many(job: Job, there: Sequence[Image], *, is_upscaled: bool) -> tuple[Menu, ...]:
    which = _("Upscale which picture …") if is_upscaled else _("Enlarge (resize) which picture …")
    names = {image.index: _name_picture(job, image) for image in there}
    ups = [
        _build_image_button(Action.UPSCALE, image, names[image.index]) for image in there if can_be_upscaled(image.spec)
    ]
    varies = [_build_image_button(Action.VARY, image, names[image.index]) for image in there]
    rest = [
        _build_image_button(
            Action.PICTURE, image, cut_text(_("{picture}: all actions", picture=names[image.index]), MAX_OPTION)
        )
        for image in there
    ]
    menus = (
        Menu(f"{job.id}:{Action.UPSCALE}", which, tuple(ups)),
        Menu(f"{job.id}:{Action.VARY}", _("Vary which picture …"), tuple(varies)),
        Menu(job.id, _("More …"), (*rest, *_build_originals(job, there))),
    )
    return tuple(menu for menu in menus if menu.buttons)


def _name_picture(job: Job, image: Image) -> str:
    name, layout = _("Picture {number}", number=image.index + 1), job.request.comparison
    return cut_text(f"{name} · {format_cell(layout, image.spec)}", MAX_NAME) if layout else name


def _build_originals(job: Job, there: Sequence[Image]) -> Row:
    return (Button(Action.ORIGINALS, job.id, _("All originals (ZIP)")),) if len(there) > 1 else ()


def _build_more(job: Job, there: Sequence[Image]) -> Row:
    buttons = [
        _build_image_button(action, image, _(label) if len(job.images) == 1 else f"{image.index + 1} · {_(label)}")
        for image in there
        for action, label in _FOR_EACH
        if _is_offered(action, image)
    ]
    return (*buttons, *_build_originals(job, there))


def _build_alt(subject: str) -> Row:
    return (Button(Action.ALT, subject, _("Alt text")),)


def _build_share(job: Job, share: Action | None) -> Row:
    return () if share is None else (Button(share, job.id, _("Share") if share is Action.SHARE else _("Take back")),)


def _is_offered(action: Action, image: Image) -> bool:
    """Return whether an action suits an image: an upscaled one can only be made again; new detail needs one from
    words alone."""
    spec = image.spec
    if action is Action.DETAIL:
        return spec.start is None and spec.upscale is None and spec.hires is None
    return spec.upscale is None or action is Action.REPRODUCE


def _build_image_button(action: Action, image: Image, label: str) -> Button:
    return Button(action, f"{image.job_id}:{image.index}", label)
