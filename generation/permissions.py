"""Who may do what with a job. Pure: who somebody is, and what they may do on Discord, is told from outside."""

from __future__ import annotations

from generation.errors import NotAllowed, UnknownJob
from generation.job import Job, Owner


def require_visible(job: Job, to: Owner) -> None:
    """Raise `UnknownJob` for a job of another server: those are nobody's business, not even that they exist."""
    if job.owner.guild_id != to.guild_id or (job.owner.guild_id == 0 and job.owner.user_id != to.user_id):
        raise UnknownJob


def require_may_stop(job: Job, who: Owner, *, is_moderator: bool) -> None:
    """Cancel and delete: the one who asked for the pictures, or a moderator. Raises `UnknownJob` or `NotAllowed`."""
    require_visible(job, who)
    if job.owner.user_id != who.user_id and not is_moderator:
        raise NotAllowed(why="Only the person who asked for these pictures, or a moderator, can do that.")
