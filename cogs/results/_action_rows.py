"""What a finished message offers to do next: the usual as buttons, the rest in one menu. Pure.

A phone shows about five short buttons in a row, and a menu takes one row however long it is: so U and V for each
picture, then what concerns them all, then the menu.
"""

from __future__ import annotations

from collections.abc import Sequence

from cogs.common.messages import Action, Button, Menu, Row, Weight
from cogs.i18n.gettext import N_, _
from generation.jobs.job import Image, Job
from generation.models.sizes import can_be_upscaled

MAX_IN_ROW = 5
_FOR_EACH = (
    (Action.STRONG, N_("Vary strongly")),
    (Action.REGION, N_("Vary a region")),
    (Action.ZOOM_HALF, N_("Zoom out 1.5×")),
    (Action.ZOOM, N_("Zoom out 2×")),
    (Action.DETAIL, N_("Enlarge with new detail")),
    (Action.REPRODUCE, N_("Reproduce")),
)


def build_action_rows(
    job: Job, done: Sequence[Image], *, is_upscaled: bool = True
) -> tuple[tuple[Row, ...], Menu | None]:
    """Rows of buttons and the menu, for the pictures of an ended job that came to be.

    `is_upscaled`: there is an upscaler for them; else they can only be resized.
    """
    there = [image for image in done if image.file_sha256 is not None]
    is_one = len(job.images) == 1
    is_painted = job.request.spec.upscale is None
    ups = [
        _build_image_button(Action.UPSCALE, image, _label_upscale(image, is_one=is_one, is_upscaled=is_upscaled))
        for image in there
    ]
    varies = [
        _build_image_button(Action.VARY, image, _("Vary") if is_one else f"V{image.index + 1}") for image in there
    ]
    first = tuple(ups) if can_be_upscaled(job.request.spec) else ()
    second = tuple(varies) if is_painted else ()
    again, remix = (_build_reroll(job, bool(done)), _build_remix(job)) if is_painted else ((), ())
    keep = (*remix, *(_build_keep(job) if done else ()))
    rows: tuple[Row, ...] = (first, second, (*again, *keep))
    if is_one:
        new = (*first, *second, *again)
        rows = ((*new, *keep),) if len(new) + len(keep) <= MAX_IN_ROW else (new, keep)
    return tuple(row for row in rows if row), _build_menu(job, there)


def _label_upscale(image: Image, *, is_one: bool, is_upscaled: bool) -> str:
    if is_upscaled:
        return _("Upscale") if is_one else f"U{image.index + 1}"
    return _("Enlarge (resize)") if is_one else _("Resize {number}", number=image.index + 1)


def _build_reroll(job: Job, has_pictures: bool) -> Row:
    return (Button(Action.REROLL, job.id, _("Reroll") if has_pictures else _("Try again"), Weight.MAIN),)


def _build_remix(job: Job) -> Row:
    return (Button(Action.REMIX, job.id, _("Remix")),)


def _build_keep(job: Job) -> Row:
    return (
        Button(Action.RECIPE, job.id, _("Recipe")),
        Button(Action.FAVOURITE, job.id, _("Favourite")),
        Button(Action.DELETE, job.id, _("Delete")),
    )


def _build_menu(job: Job, there: Sequence[Image]) -> Menu | None:
    buttons = [
        _build_image_button(action, image, _(label) if len(job.images) == 1 else f"{image.index + 1} · {_(label)}")
        for image in there
        for action, label in _FOR_EACH
        if _is_offered(action, image)
    ]
    return Menu(job.id, _("More …"), tuple(buttons)) if buttons else None


def _is_offered(action: Action, image: Image) -> bool:
    """Return whether an action suits an image: an upscaled one can only be made again; new detail needs one from
    words alone."""
    spec = image.spec
    if action is Action.DETAIL:
        return spec.start is None and spec.upscale is None and spec.hires is None
    return spec.upscale is None or action is Action.REPRODUCE


def _build_image_button(action: Action, image: Image, label: str) -> Button:
    return Button(action, f"{image.job_id}:{image.index}", label)
