"""Pictures that may not be shown: refunded after the fact, and counted."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.counting import count_when_committed
from db.models import ImageFileRow, ImageRow, JobRow, MemberRow
from db.stores.image_files import find_unneeded, remove_results
from db.stores.ledger import Account, Posting, post
from generation import metrics
from generation.errors import WithheldError
from generation.jobs.job import Status
from generation.owner import Owner
from generation.policy.quota import Usage, find_window


def withhold(session: Session, image_id: str, *, at: datetime) -> frozenset[str]:
    """Turn DONE into WITHHELD, and post back what was charged. Return the files that nothing needs any more."""
    image = session.get(ImageRow, image_id)
    if image is None or image.status is not Status.DONE:
        return frozenset()
    job = session.get_one(JobRow, image.job_id)
    charged = image.charged
    session.execute(
        update(ImageRow)
        .where(ImageRow.id == image_id, ImageRow.status == Status.DONE)
        .values(status=Status.WITHHELD, charged=0, error=WithheldError.code)
        .execution_options(synchronize_session=False)
    )
    count_when_committed(session, metrics.IMAGES_WITHHELD_LATE.inc)
    if charged:
        account = Account(guild_id=job.guild_id, member_key=job.member_key, window=find_window(job.created_at))
        back = Posting(kind="correct", image_id=image_id, adds=Usage(num_images=-1, used=-charged))
        post(session, account, [back], at=at)
    return find_unneeded(session, remove_results(session, ImageFileRow.image_id == image_id))


def fetch_withheld(session: Session, *, ended_since: datetime) -> dict[Owner, list[datetime]]:
    """Return, by owner, when the pictures withheld since then had been asked for."""
    late = (ImageRow.status == Status.WITHHELD, ImageRow.ended_at >= ended_since)
    of_member = select(JobRow.guild_id, MemberRow.user_id, JobRow.created_at).join(JobRow.member).join(JobRow.images)
    times = defaultdict[Owner, list[datetime]](list)
    for guild_id, user_id, at in session.execute(of_member.where(*late)):
        times[Owner(guild_id, user_id)].append(at)
    return times
