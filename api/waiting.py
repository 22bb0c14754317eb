"""Waits for the pictures of a job, for as long as the one who asked does."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from api.context import ApiContext
from api.dialect import require_key
from api.errors import JobCancelledError, WaitedTooLongError
from generation.errors import failure_class
from generation.jobs.job import Image, Job, Status


async def wait_for_end(context: ApiContext, request: Request, job_id: str) -> Job:
    """Return the job as it ended. Where the one who asked hangs up, it is cancelled: no one else waits for it.

    Raise `WaitedTooLongError`; the job goes on then. Raise `WrongKeyError` where the key has ended by then.
    """
    generation = context.rooms.generation
    ended = asyncio.ensure_future(generation.finished(job_id))
    gone = asyncio.ensure_future(_wait_until_gone(request))
    try:
        await asyncio.wait({ended, gone}, timeout=context.limits.wait_s, return_when=asyncio.FIRST_COMPLETED)
        if ended.done():
            await require_key(request)
            return ended.result()
        if gone.done():
            await generation.cancel(job_id)
            return await ended
        raise WaitedTooLongError(job_id=job_id)
    finally:
        ended.cancel()
        gone.cancel()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def require_some_done(job: Job) -> tuple[Image, ...]:
    """Return the pictures that were made. Raise why there is none: the error of the first."""
    done = tuple(image for image in job.images if image.status is Status.DONE)
    if done:
        return done
    first = job.images[0]
    if first.status is Status.CANCELLED:
        raise JobCancelledError
    code = first.error or ("Withheld" if first.status is Status.WITHHELD else None)
    raise failure_class(code)(attempts=first.attempt)
