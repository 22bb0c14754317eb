"""Who may do what with a job. The caller knows the user and their permissions on Discord."""

from __future__ import annotations

from generation.errors import UnknownJobError
from generation.jobs.errors import NotYourPicturesError
from generation.jobs.history import Relatives
from generation.jobs.job import Job
from generation.jobs.ports import JobStore
from generation.owner import Owner, is_server
from generation.requests.recipe import Recipe, Trace


def require_visible(job: Job, to: Owner) -> None:
    """Raise `UnknownJobError` for a job of another server, so that not even its existence shows."""
    if not is_visible(job, to):
        raise UnknownJobError


def is_visible(job: Job, to: Owner) -> bool:
    """Return whether it was requested in the same server, or is the user's own, where there is none."""
    if not is_server(job.owner.guild_id):
        return job.owner == to
    return job.owner.guild_id == to.guild_id


async def may_follow(recipe: Recipe, file_sha256: str, jobs: JobStore) -> bool:
    """Return whether the trace of that recipe, in a file of that SHA-256, may be followed.

    One with larger forwards than the picture needs only if the picture was made here: a forged one asks for memory
    that this machine may not have.
    """
    return Trace.parse(recipe.trace).is_minimal(recipe.spec.num_rows) or bool(await jobs.fetch_painted(file_sha256))


def select_visible_relatives(kin: Relatives, to: Owner) -> Relatives:
    """Return the relatives that the user may see: a file sent elsewhere can link jobs of two servers."""
    return Relatives(
        parents=tuple((job, index) for job, index in kin.parents if is_visible(job, to)),
        children=tuple(job for job in kin.children if is_visible(job, to)),
    )


def require_may_stop(job: Job, who: Owner, *, is_moderator: bool) -> None:
    """Raise `UnknownJobError` or `NotYourPicturesError` unless the user owns the job or moderates.

    For cancel and delete.
    """
    require_visible(job, who)
    if job.owner.user_id != who.user_id and not is_moderator:
        raise NotYourPicturesError
