"""The sheet of a finished comparison, drawn from the pictures that may be shown openly where it is read."""

from __future__ import annotations

from collections.abc import Mapping

from cogs.common.comparison import format_axes, list_labels
from cogs.common.formatting import make_slug
from cogs.common.messages import Picture
from cogs.i18n.gettext import N_, _
from generation.images.sheet import Sheet, SheetCell, draw_sheet
from generation.jobs.job import Image, Job, Status
from generation.safety.visibility import Shown

ALT = N_("Comparison. {axes}")
_ENDS = {
    Status.WITHHELD: N_("withheld"),
    Status.CANCELLED: N_("stopped"),
    Status.FAILED: N_("failed"),
}


def build_sheet(job: Job, pngs: Mapping[int, bytes | None], shown: Mapping[int, Shown]) -> Picture | None:
    """Return the sheet; None of a job that compares nothing, or of which nothing is to be seen.

    `pngs`: the files, by the index of their image. A picture that would need a spoiler stays out: the sheet has none.
    """
    layout = job.request.comparison
    if not layout:
        return None
    cells = tuple(_build_cell(image, pngs[image.index], shown[image.index]) for image in job.images)
    if all(cell.png is None for cell in cells):
        return None
    columns, rows = list_labels(job.request, layout)
    axes = " ".join(line.replace("**", "") for line in format_axes(job.request)).replace("\\", "")
    name = f"{make_slug(job.request.spec.prompt)}-sheet.jpg"
    return Picture(name, draw_sheet(Sheet(cells=cells, columns=columns, rows=rows)), _(ALT, axes=axes))


def _build_cell(image: Image, png: bytes | None, shown: Shown) -> SheetCell:
    if image.status is not Status.DONE:
        return SheetCell(None, _(_ENDS[image.status]))
    if shown is Shown.NOT:
        return SheetCell(None, _("not shown here"))
    if shown is Shown.SPOILER:
        return SheetCell(None, _("behind a spoiler"))
    if png is None:
        return SheetCell(None, _("deleted") if image.file_sha256 is None else _("file removed"))
    return SheetCell(png)
