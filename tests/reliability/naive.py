"""The control of `chaos`: the same bot built the usual way, so that the judge is known to see errors.

The line of jobs is only in memory, a result is a new message every time, and what a picture costs is written after
the picture, in a transaction of its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from cogs.common.messages import MessageSpec
from cogs.common.rendering import render_new
from cogs.delivery._poster import MessagePoster, Posted
from db.models import DeliveryRow, ImageFileRow, ImageRow
from db.stores.image_files import record_result, remove_results
from db.stores.jobs import JobStore, find_account
from db.stores.ledger import make_ending, post
from generation.failpoints import reached
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Job, Outcome, ReplyTo


def spoil() -> None:
    """Replace the parts that make the bot of this process safe."""
    store: Any = JobStore
    ladder: Any = MessagePoster
    store.fetch_unfinished = _forget_the_line
    store.settle = _settle_in_two
    ladder.post = _post_anew


async def _forget_the_line(self: JobStore) -> list[Job]:
    return []


async def _settle_in_two(self: JobStore, image_id: str, attempt: int, outcome: Outcome) -> bool:
    status = {"status": outcome.status, "charged": outcome.charged}
    job_id = image_id.rpartition("-")[0]

    def end(session: Any) -> int:
        session.execute(update(ImageRow).where(ImageRow.id == image_id).values(recipe=outcome.recipe, **status))
        remove_results(session, ImageFileRow.image_id == image_id)
        if outcome.file_sha256 is not None:
            record_result(session, image_id, outcome.file_sha256)
        return int(session.get(ImageRow, image_id).reserved)

    def charge(session: Any) -> None:
        posting = make_ending(image_id, reserved=reserved, charged=outcome.charged)
        post(session, find_account(session, job_id), [posting], at=self._clock())
        due = update(DeliveryRow).where(DeliveryRow.job_id == job_id, DeliveryRow.state == DeliveryState.LIVE)
        session.execute(due.values(state=DeliveryState.DUE))

    reserved = await self._database.write(end)
    reached("settled")
    await self._database.write(charge)
    return True


async def _post_anew(self: MessagePoster, job_id: str, reply_to: ReplyTo, say: MessageSpec) -> Posted:
    message = await self._channel(reply_to.channel_id).send(**render_new(say))
    return Posted(reply_to.channel_id, message.id)
