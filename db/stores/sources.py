"""What a person may start from: pictures of their server, and what they attached (`generation.jobs.source_access`)."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import ColumnElement, and_, select, true
from sqlalchemy.orm import Session

from db.models import ImageFileRow, ImageRow, JobRow, UploadRow, table
from db.sql import JsonText
from db.stores.image_files import IS_RESULT, IS_SOURCE
from db.stores.members import find_key
from generation.jobs.job import Source
from generation.owner import Owner, is_server
from generation.requests.spec import ImageSpec

_PIXELS = JsonText(table(ImageRow).c.recipe, "pixels_sha256")


def fetch_sources(session: Session, files: Collection[str], owner: Owner) -> dict[str, Source]:
    """Return what the owner may do with these files, a few; one that nothing names is left out."""
    key = find_key(session, owner.user_id)
    attached = select(UploadRow.sha256, UploadRow.member_key).where(UploadRow.sha256.in_(files))
    uploads: dict[str, set[int]] = {}
    for sha256, member_key in session.execute(attached):
        uploads.setdefault(sha256, set()).add(member_key)
    found = {
        sha256: Source(is_usable=key in keys, is_upload=True, is_from_upload=True) for sha256, keys in uploads.items()
    }
    painted = select(ImageFileRow.sha256, JobRow.is_from_upload, _is_seen_by(owner, key)).distinct()
    painted = painted.join_from(ImageFileRow, ImageRow, ImageRow.id == ImageFileRow.image_id)
    painted = painted.join(JobRow, JobRow.id == ImageRow.job_id).where(ImageFileRow.sha256.in_(files), IS_RESULT)
    for sha256, is_from_upload, is_seen in session.execute(painted):
        before = found.get(sha256, Source(is_from_upload=False))
        found[sha256] = Source(
            is_usable=before.is_usable or is_seen,
            is_upload=before.is_upload,
            is_from_upload=before.is_from_upload or is_from_upload,
        )
    return found


def keeps(session: Session, spec: ImageSpec, trace: str, pixels_sha256: str, owner: Owner) -> bool:
    """Return whether a picture of the owner's server that is not deleted was made exactly so, from files.

    Where these are uploads it has to be their uploader's: what others reproduced does not outlive that.
    """
    uploaders = set(session.scalars(select(UploadRow.member_key).where(UploadRow.sha256.in_(spec.files))))
    made = select(ImageRow.recipe).join(JobRow, JobRow.id == ImageRow.job_id)
    made = made.where(_is_seen_by(owner, find_key(session, owner.user_id)), ImageRow.file_sha256.is_not(None))
    if uploaders:
        made = made.where(JobRow.member_key.in_(uploaders))
    started = select(ImageFileRow.image_id).where(ImageFileRow.sha256.in_(spec.sources), IS_SOURCE)
    recipes = session.scalars(made.where(ImageRow.id.in_(started), _PIXELS.in_((pixels_sha256,))))
    return any(recipe is not None and (recipe.spec, recipe.trace) == (spec, trace) for recipe in recipes)


def _is_seen_by(owner: Owner, key: int | None) -> ColumnElement[bool]:
    """Whether a job is of the owner's server: elsewhere, only their own (`generation.jobs.permissions`)."""
    is_theirs = true() if is_server(owner.guild_id) else JobRow.member_key == key
    return and_(JobRow.guild_id == owner.guild_id, is_theirs)
