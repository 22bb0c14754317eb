"""One picture of several in full, and all originals as ZIP files: answers for the person alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cogs.common.formatting import format_small, make_slug
from cogs.common.lookups import fetch_job, fetch_job_or_part
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.messages import Action, MessageSpec, Picture
from cogs.common.policy_checks import get_place
from cogs.common.responses import edit_reply, send_reply
from cogs.context import ButtonHandler, Interaction, get_owner
from cogs.i18n.gettext import N_, _, join_list, ngettext
from cogs.results import _messages
from cogs.results._by_picture import list_troubles
from cogs.results._reduced_variants import MessageVariant
from cogs.results._result import (
    MAX_REQUEST_BYTES,
    ResultContext,
    build_result_message,
    is_away,
    read_png,
)
from generation.admission.gate import fetch_visibility
from generation.errors import UnknownJobError
from generation.images.archive import build_archives, fits_in_archive
from generation.images.signing import sign
from generation.jobs.job import Job, Status
from generation.safety.visibility import Shown

PART = N_("This is part {number} of {total}.")
NONE_LEFT = N_("There is no original to send.")
TOO_LARGE_TO_SEND = N_(
    "Picture {numbers} is too large to send here: use `/history` in a place that allows larger files."
)
_WORDS_BYTES = 64 * 1024
"""Kept of a request for what is not a file."""


@dataclass(frozen=True, slots=True)
class Originals:
    """The ZIP files of a job, how many pictures are in them, and what is to be said of those that are not."""

    archives: tuple[bytes, ...]
    num_pictures: int
    has_flagged: bool
    notes: tuple[str, ...]


async def press_picture(interaction: Interaction, subject: str) -> None:
    """Show one picture of several with all its buttons."""
    job = await fetch_job_or_part(interaction, subject)
    if not job.is_end or len(job.images) != 1:
        raise UnknownJobError
    await interaction.response.defer(ephemeral=True, thinking=True)
    variant = MessageVariant(interaction.filesize_limit or DEFAULT_SIZE_LIMIT)
    services, place = interaction.client.services, get_place(interaction)
    async with services.drawing.turn(get_owner(interaction)):
        say = await build_result_message(job, services, variant=variant, place=place, is_part=True)
    await edit_reply(interaction, say)


async def press_originals(interaction: Interaction, subject: str) -> None:
    """Send the files of all pictures that may be shown here, as many ZIP files as it takes."""
    job = await fetch_job(interaction, subject)
    if not job.is_end:
        raise UnknownJobError
    await interaction.response.defer(ephemeral=True, thinking=True)
    services = interaction.client.services
    shown = await fetch_visibility(job, services, get_place(interaction))
    limit = min(interaction.filesize_limit or DEFAULT_SIZE_LIMIT, MAX_REQUEST_BYTES - _WORDS_BYTES)
    context = ResultContext(services.generation.files, services.credentials, is_upscaled=True)
    async with services.drawing.turn(get_owner(interaction)):
        found = await asyncio.to_thread(collect_originals, job, shown, context, limit)
        first, *rest = [build_originals(job, found, part) for part in range(max(1, len(found.archives)))]
        await edit_reply(interaction, first)
        for say in rest:
            await send_reply(interaction, say)


def collect_originals(job: Job, shown: Mapping[int, Shown], context: ResultContext, max_bytes: int) -> Originals:
    """Return the files of a job that may be shown, in ZIP files of at most `max_bytes`."""
    files, too_large, notes = dict[str, bytes](), list[str](), dict[str, None]()
    has_flagged = False
    for image in job.images:
        if image.status is not Status.DONE:
            continue
        if shown[image.index] is Shown.NOT:
            notes[_(_messages.NOT_SHOWN_HERE)] = None
            continue
        if (png := read_png(image, context.files)) is None:
            if is_away(image):
                notes[_(_messages.STARTED_AWAY if image.spec.files else _messages.FILE_AWAY)] = None
            continue
        picture = _messages.build_picture(job, image, sign(png, image.id, image.spec, context.credentials))
        if not fits_in_archive(picture.filename, picture.data, max_bytes):
            too_large.append(str(image.index + 1))
            continue
        files[picture.filename] = picture.data
        has_flagged |= shown[image.index] is Shown.SPOILER
    if too_large:
        notes[_(TOO_LARGE_TO_SEND, numbers=join_list(too_large))] = None
    return Originals(tuple(build_archives(files, max_bytes)), len(files), has_flagged, tuple(notes))


def build_originals(job: Job, found: Originals, part: int = 0) -> MessageSpec:
    """Return the message with one of the ZIP files; the first also says what is left out."""
    text = _(NONE_LEFT)
    if found.archives:
        text = ngettext(
            "**{number} original**, as it is stored", "**{number} originals**, as they are stored", found.num_pictures
        )
    lines: list[str] = [text]
    if len(found.archives) > 1:
        lines.append(format_small(_(PART, number=part + 1, total=len(found.archives))))
    if part == 0:
        lines += [*list_troubles(job), *map(format_small, found.notes)]
    return MessageSpec(blocks=("\n".join(lines),), attached=tuple(_list_files(job, found, part)))


def _list_files(job: Job, found: Originals, part: int) -> Sequence[Picture]:
    if not found.archives:
        return ()
    number = f"-{part + 1}" if len(found.archives) > 1 else ""
    name = f"{make_slug(job.request.spec.prompt)}-{job.id}{number}.zip"
    return (Picture(name, found.archives[part], _("All originals (ZIP)"), is_spoiler=found.has_flagged),)


PRESSES: dict[Action, ButtonHandler] = {Action.PICTURE: press_picture, Action.ORIGINALS: press_originals}
