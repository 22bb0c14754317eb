"""A job as server-sent events: `state` at each change, `preview` with an unfinished picture, `end` once.

Where the key ends meanwhile (revoked, blocked, erased), `error` is the last.

Previews have passed the safety checker at the worker, as those on Discord have. Changes that come faster than they are
sent are one event.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress

from api.context import ApiContext
from api.errors import build_reply
from api.jobs.views import build_state
from generation.errors import AtelierError
from generation.jobs.job import Job

PAUSE_S = 0.25
"""Between two events of a job."""
KEEP_ALIVE_S = 15.0
"""How long nothing is said before a comment shows that someone is there."""


async def follow(context: ApiContext, job: Job, require_key: Callable[[], Awaitable[None]]) -> AsyncIterator[str]:
    """Yield the events of a job until it has ended, or until the key has: `require_key` raises then."""
    try:
        async with aclosing(_follow(context, job)) as events:
            async for event in events:
                await require_key()
                yield event
    except AtelierError as error:
        reply = build_reply(error)
        yield write_event("error", json.dumps({"error": reply.code, "message": reply.message}))


async def _follow(context: ApiContext, job: Job) -> AsyncGenerator[str, None]:
    generation, said, seen = context.rooms.generation, "", b""
    with generation.watchers.watch(job.id) as changed:
        while generation.is_live(job.id):
            changed.clear()
            view = generation.view(job.id)
            if view is None:
                break
            state = (await build_state(context, view.job, view)).model_dump_json()
            if state != said:
                said = state
                yield write_event("state", state)
            if view.preview is not None and view.preview != seen:
                seen = view.preview
                yield write_event("preview", base64.b64encode(seen).decode())
            await asyncio.sleep(PAUSE_S)
            if generation.is_live(job.id) and not await _wait(changed):
                yield ": waiting\n\n"
    ended = await generation.finished(job.id)
    yield write_event("end", (await build_state(context, ended)).model_dump_json())


def write_event(name: str, data: str) -> str:
    """Return an event. `data` has no line ends."""
    return f"event: {name}\ndata: {data}\n\n"


async def _wait(changed: asyncio.Event) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(KEEP_ALIVE_S):
            await changed.wait()
    return changed.is_set()
