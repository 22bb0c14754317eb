"""What the ControlNets of a job saw: the map of each, small, beside its name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from cogs.common.formatting import bind_words, escape_markdown, format_small, join_dotted
from cogs.common.messages import Entry, Picture
from cogs.i18n.gettext import N_, _
from generation.errors import InvalidRequestError
from generation.images.codec import decode_png, encode_png, shrink
from generation.images.preprocessors import preprocess
from generation.images.store import ImageFiles
from generation.jobs.job import Job
from generation.requests.control import NONE, Control
from generation.safety.visibility import Shown

LOOKS = N_("Looks at a reference by **{adapter}**")
GUIDED_BY = N_("Follows a picture by **{network}**")
ALT = N_("What the ControlNet {network} saw")
_MAX_BYTES = 120_000
_SHOWN = frozenset(("canny", "lineart", "softedge"))
"""Those of which lines are left: what else is made is the picture, and an attached one is its uploader's alone."""


def build_guides(job: Job, shown: Mapping[int, Shown], files: ImageFiles, *, room: int) -> list[str | Entry]:
    """Return a line for each ControlNet of a job whose pictures are shown, beside its map if the file is there; and one
    for its reference.

    `room`: how many more files the message takes. Maps are as hidden as the most hidden of the pictures.
    """
    controls, seen = job.request.spec.controls, job.request.spec.image_prompt
    if not (controls or seen) or any(each is Shown.NOT for each in shown.values()):
        return []
    is_spoiler = Shown.SPOILER in shown.values()
    lines: list[str | Entry] = []
    for number, control in enumerate(controls):
        text = _describe(control)
        picture = _build_map(control, files, number) if control.preprocessor in _SHOWN and len(lines) < room else None
        lines.append(text if picture is None else Entry(text, replace(picture, is_spoiler=is_spoiler)))
    if seen:
        head = _(LOOKS, adapter=escape_markdown(seen.adapter, limit=60))
        lines.append(f"{head}\n{format_small(bind_words(_('strength {value}', value=seen.strength)))}")
    return lines


def _describe(control: Control) -> str:
    made = (control.mode or "") if control.preprocessor == NONE else control.preprocessor
    parts = [made] if made else []
    parts.append(_("strength {value}", value=control.strength))
    if (control.begin, control.end) != (0.0, 1.0):
        parts.append(_("from {begin} to {end} of the steps", begin=control.begin, end=control.end))
    head = _(GUIDED_BY, network=escape_markdown(control.network, limit=60))
    return f"{head}\n{format_small(join_dotted(map(bind_words, parts)))}"


def _build_map(control: Control, files: ImageFiles, number: int) -> Picture | None:
    """Return what the ControlNet saw, made once more from its picture; None where that is gone."""
    png = files.get(control.sha256)
    if png is None:
        return None
    try:
        pixels, (width, height) = decode_png(png)
        given = np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
        made = preprocess(given, control.preprocessor, control.version)
        data = shrink(encode_png(made.tobytes(), (width, height)), max_bytes=_MAX_BYTES)
    except InvalidRequestError:
        return None
    suffix = "jpg" if data.startswith(b"\xff\xd8") else "png"
    return Picture(f"map-{number + 1}.{suffix}", data, _(ALT, network=control.network))
