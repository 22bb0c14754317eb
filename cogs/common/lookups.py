"""What a button, menu or form is about: its `subject` names a job, or one picture of it, and is looked up each time.

The person who presses is checked again, too: a button may be years old, another person's, or forged.
"""

from __future__ import annotations

from typing import NamedTuple

from cogs.context import Interaction, get_owner
from generation.errors import UnknownJobError
from generation.jobs.job import JOB_ID_LENGTH, Image, Job
from generation.jobs.permissions import require_visible
from generation.jobs.source_access import require_uploader


async def fetch_job(interaction: Interaction, subject: str) -> Job:
    """Return the job, if the person may know of it. Raise `UnknownJobError`."""
    job_id = subject.partition(":")[0]
    if len(job_id) != JOB_ID_LENGTH:
        raise UnknownJobError
    job = await interaction.client.services.jobs.fetch_job(job_id)
    require_visible(job, get_owner(interaction))
    return job


async def fetch_job_or_part(interaction: Interaction, subject: str) -> Job:
    """Return the job; of a subject that names a picture, that picture as a job of its own. Raise `UnknownJobError`."""
    job = await fetch_job(interaction, subject)
    return job.only(_parse_index(subject, job)) if ":" in subject else job


async def fetch_job_to_change(interaction: Interaction, subject: str) -> Job:
    """Return the job (or a part of it, as `fetch_job_or_part`), if the person may make others of its pictures.

    Raise `UnknownJobError` or `NotAllowedError`.
    """
    job = await fetch_job_or_part(interaction, subject)
    await require_uploader(job.request.spec, get_owner(interaction), interaction.client.services.jobs)
    return job


class Found(NamedTuple):
    """A picture and its job."""

    job: Job
    image: Image


async def fetch_image_to_change(interaction: Interaction, subject: str) -> Found:
    """Return the picture, if the person may make others of it. Raise `UnknownJobError` or `NotAllowedError`."""
    found = await fetch_image(interaction, subject)
    await require_uploader(found.image.spec, get_owner(interaction), interaction.client.services.jobs)
    return found


async def fetch_image(interaction: Interaction, subject: str) -> Found:
    """Return the picture, if the person may know of it. Raise `UnknownJobError`."""
    job = await fetch_job(interaction, subject)
    return Found(job, job.images[_parse_index(subject, job)])


def _parse_index(subject: str, job: Job) -> int:
    index = subject.partition(":")[2]
    if not index.isdecimal() or len(index) > 2 or int(index) >= len(job.images):
        raise UnknownJobError
    return int(index)
