"""The pictures of a job, as far as they may be shown to the one who asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from api.context import PLACE, ApiContext
from api.errors import PictureGoneError, PictureHiddenError
from api.keys import Caller
from api.waiting import require_some_done
from generation.admission.gate import fetch_visibility
from generation.errors import UnknownJobError
from generation.images.signing import sign
from generation.jobs.job import JOB_ID_LENGTH, Image, Job, Status
from generation.safety.visibility import Shown


@dataclass(frozen=True, slots=True)
class Picture:
    """A finished picture: `png` is its file, as it leaves."""

    image: Image
    png: bytes


async def fetch_job(context: ApiContext, job_id: str) -> Job:
    """Return a job of any member as it stands now; the caller decides who may see it. Raise `UnknownJobError`."""
    if len(job_id) != JOB_ID_LENGTH or not job_id.isascii() or not job_id.isalnum():
        raise UnknownJobError
    view = context.rooms.generation.view(job_id)
    return view.job if view is not None else await context.rooms.jobs.fetch_job(job_id)


async def fetch_own_job(context: ApiContext, caller: Caller, job_id: str) -> Job:
    """Return a job of the one who asks. Raise `UnknownJobError` for any other, so that not even its existence shows."""
    job = await fetch_job(context, job_id)
    if job.owner != caller.owner:
        raise UnknownJobError
    return job


async def list_shown(context: ApiContext, job: Job) -> set[int]:
    """Return the indices of the finished pictures that may be shown over HTTP.

    There is no blur: what Discord would hide because a checker flagged it, is not shown.
    """
    shown = await fetch_visibility(job, context.rooms, PLACE)
    return {
        image.index
        for image in job.images
        if image.status is Status.DONE and shown[image.index] is not Shown.NOT and not _is_flagged(image)
    }


async def read_picture(context: ApiContext, image: Image) -> Picture:
    """Return a finished picture. Raise `PictureGoneError`."""
    png = await asyncio.to_thread(_read, context, image)
    if png is None:
        raise PictureGoneError
    return Picture(image, png)


async def read_pictures(context: ApiContext, job: Job) -> list[Picture]:
    """Return the pictures of a job that ended. Raise why there is none that may be shown."""
    done, shown = require_some_done(job), await list_shown(context, job)
    found = [await read_picture(context, image) for image in done if image.index in shown]
    if not found:
        raise PictureHiddenError
    return found


def _read(context: ApiContext, image: Image) -> bytes | None:
    rooms = context.rooms
    png = rooms.generation.files.get(image.file_sha256) if image.file_sha256 else None
    return None if png is None else sign(png, image.id, image.spec, rooms.credentials)


def _is_flagged(image: Image) -> bool:
    return image.judgement is not None and image.judgement.is_flagged
