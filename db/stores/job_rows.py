"""Jobs and their images as rows, and rows as jobs."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Row, Select, select

from db.models import ImageRow, JobRow, MemberRow
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Image, Job, ReplyTo
from generation.owner import Owner
from generation.policy.guild_settings import check_claim
from generation.requests.unreadable import UNREADABLE_REQUEST, UNREADABLE_SPEC

log = logging.getLogger(__name__)


def serialize_job(job: Job, member_key: int) -> dict[str, object]:
    return {
        "id": job.id,
        "guild_id": job.owner.guild_id,
        "member_key": member_key,
        "request": job.request,
        "created_at": job.created_at,
        "boost": job.boost,
        "handling": job.handling,
        "is_from_upload": job.is_from_upload,
        "parent": job.request.parent,
    }


def serialize_image(image: Image) -> dict[str, object]:
    return {
        "id": image.id,
        "job_id": image.job_id,
        "position": image.index,
        "spec": image.spec,
        "status": image.status,
        "attempt": image.attempt,
        "reserved": image.reserved,
        "charged": image.charged,
        "alt": image.alt,
    }


def serialize_delivery(job_id: str, reply_to: ReplyTo) -> dict[str, object]:
    return {
        "job_id": job_id,
        "application_id": reply_to.application_id,
        "channel_id": reply_to.channel_id,
        "token": reply_to.token,
        "token_expires_at": reply_to.token_expires_at,
        "message_id": reply_to.message_id,
        "locale": reply_to.locale,
        "is_private": reply_to.is_private,
        "state": DeliveryState.POSTED if reply_to.is_collected else DeliveryState.LIVE,
        "attempts": 0,
    }


def build_job(row: JobRow) -> Job:
    """Return the value of a row, with its images."""
    return _join(row, row.member.user_id, [build_image(image) for image in row.images])


def select_jobs() -> Select[Any]:
    """Select what `build_jobs` makes jobs of. Columns: for thousands of jobs objects cost twice as much."""
    return select(*JobRow.__table__.c, MemberRow.user_id).join_from(JobRow, MemberRow)


def select_images() -> Select[Any]:
    """Select what `build_jobs` makes images of."""
    return select(*ImageRow.__table__.c, ImageRow.file_sha256)


def build_jobs(jobs: Iterable[Row[Any]], images: Iterable[Row[Any]]) -> list[Job]:
    """Return the jobs in their order, each with its images in theirs. Images of other jobs are left out."""
    of_jobs: dict[str, list[Image]] = {}
    for row in images:
        of_jobs.setdefault(row.job_id, []).append(build_image(row))
    return [_join(row, row.user_id, of_jobs.get(row.id, ())) for row in jobs]


def _join(row: JobRow | Row[Any], user_id: int, images: Sequence[Image]) -> Job:
    if row.request is UNREADABLE_REQUEST or any(image.spec is UNREADABLE_SPEC for image in images):
        log.warning("job=%s action=job-unreadable", row.id)
    return Job(
        id=row.id,
        owner=Owner(row.guild_id, user_id),
        request=row.request,
        created_at=row.created_at,
        images=tuple(images),
        boost=check_claim(row.boost),
        handling=row.handling,
        is_from_upload=row.is_from_upload,
    )


def build_image(row: ImageRow | Row[Any]) -> Image:
    return Image(
        job_id=row.job_id,
        index=row.position,
        spec=row.spec,
        reserved=row.reserved,
        status=row.status,
        attempt=row.attempt,
        charged=row.charged,
        recipe=row.recipe,
        file_sha256=row.file_sha256,
        error=row.error,
        judgement=row.judgement,
        alt=row.alt,
    )
