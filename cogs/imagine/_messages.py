"""What people read about the size they asked for."""

from __future__ import annotations

import re

from cogs.common.formatting import escape_markdown
from cogs.i18n.gettext import N_, _
from generation.jobs.job import Job

ROUNDED = N_("I paint {width} × {height} instead of {typed}, because it is the nearest possible size.")


def format_rounded_size(typed: str, job: Job) -> str | None:
    """Told to the person whose size had to be changed."""
    spec = job.request.spec
    if [int(number) for number in re.findall(r"\d+", typed)] == [spec.width_px, spec.height_px]:
        return None
    return _(ROUNDED, typed=escape_markdown(typed, limit=20), width=spec.width_px, height=spec.height_px)
