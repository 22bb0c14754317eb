"""Accepting jobs: all that are waiting at once, in the statements of one.

A job is written with its images, what they cost and where the result goes. Under load many are accepted in one
transaction: their rows of a table are one statement, and what is read for them is read once.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from db.counting import count_when_committed
from db.models import DeliveryRow, ImageRow, JobRow, table
from db.stores.image_files import record_sources, record_uploads
from db.stores.job_rows import serialize_delivery, serialize_image, serialize_job
from db.stores.ledger import Account, Entry, make_reservation, post_each
from db.stores.members import find_keys, insert_keys, make_key
from db.stores.quotas import check_quotas, find_limited
from generation import metrics
from generation.errors import QuotaExceededError
from generation.jobs.job import Job, ReplyTo
from generation.policy.quota import find_window

_INSERT_JOB, _INSERT_IMAGE = insert(table(JobRow)), insert(table(ImageRow))
_INSERT_DELIVERY = insert(table(DeliveryRow))


@dataclass(frozen=True, slots=True)
class Request:
    """A job to accept; see `JobStore.accept`."""

    job: Job
    reply_to: ReplyTo | None
    role_ids: Collection[int]
    attached: Collection[str]


def accept_all(session: Session, requests: Sequence[Request]) -> list[QuotaExceededError | None]:
    """Accept these, and return for each why it was not. Nothing of one that was not is written."""
    connection = session.connection()
    users = {each.job.owner.user_id for each in requests}
    keys = find_keys(connection, users)
    new = {user_id: make_key() for user_id in users - keys.keys()}
    keys |= new
    limited = find_limited(connection, {each.job.owner.guild_id for each in requests})
    outcomes: list[QuotaExceededError | None] = []
    free: list[Request] = []
    for each in requests:
        refused = None
        if each.job.owner.guild_id not in limited:
            free.append(each)
        elif (refused := _find_refusal(connection, each, keys)) is None:
            _write(connection, [each], keys, new)  # now, for the next one has that much less
        outcomes.append(refused)
    if free:
        _write(connection, free, keys, new)
    accepted = [each.job for each, refused in zip(requests, outcomes, strict=True) if refused is None]
    count_when_committed(session, partial(metrics.JOBS_ACCEPTED.inc, len(accepted)))
    count_when_committed(session, partial(metrics.IMAGES_ACCEPTED.inc, sum(len(job.images) for job in accepted)))
    return outcomes


def _find_refusal(connection: Connection, request: Request, keys: dict[int, int]) -> QuotaExceededError | None:
    key = keys[request.job.owner.user_id]
    try:
        check_quotas(connection, request.job, member_key=key, role_ids=request.role_ids)
    except QuotaExceededError as refused:
        return refused
    return None


def _write(connection: Connection, requests: Sequence[Request], keys: dict[int, int], new: dict[int, int]) -> None:
    """Write these. Take the keys of members that were unknown until now out of `new`."""
    jobs = [(each.job, keys[each.job.owner.user_id]) for each in requests]
    first = {user_id: new.pop(user_id) for job, _ in jobs if (user_id := job.owner.user_id) in new}
    insert_keys(connection, first)
    for each, (_, key) in zip(requests, jobs, strict=True):
        record_uploads(connection, each.attached, key)
    connection.execute(_INSERT_JOB, [serialize_job(job, key) for job, key in jobs])
    connection.execute(_INSERT_IMAGE, [serialize_image(image) for job, _ in jobs for image in job.images])
    for job, _ in jobs:
        record_sources(connection, job.images, job.request.replay.original if job.request.replay else None)
    post_each(connection, [entry for job, key in jobs for entry in _reserve(job, key)])
    if deliveries := [serialize_delivery(each.job.id, each.reply_to) for each in requests if each.reply_to is not None]:
        connection.execute(_INSERT_DELIVERY, deliveries)


def _reserve(job: Job, member_key: int) -> list[Entry]:
    account = Account(guild_id=job.owner.guild_id, member_key=member_key, window=find_window(job.created_at))
    return [Entry(account, make_reservation(image.id, image.reserved), job.created_at) for image in job.images]
