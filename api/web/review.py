"""The review queue: what was reported or withheld, for those who moderate the server, oldest first.

The rights are those of `/review` on Discord, and so is what a decision does. Operators who moderate a server no more
than others see that something waits there, and nothing of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.context import ApiContext
from api.dialect import get_context
from api.errors import ApiError, PictureGoneError
from api.pictures import fetch_job, list_shown
from api.web.pages import Web, get_web, render
from api.web.sessions import Session, require_form_key
from db.stores.moderation import Refusals
from db.stores.reviews import Waiting
from generation.errors import UnknownJobError
from generation.jobs.job import Job, Status, split_image_id
from generation.owner import Owner
from generation.requests.drawing import list_prompts

router = APIRouter(include_in_schema=False)
JOBS_A_PAGE = 10
MAX_SERVERS = 100
_LOOK_BACK = timedelta(days=30)


class DecidedError(ApiError):
    """This does not wait for a decision any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A job to be looked at."""

    job: Job
    waiting: Waiting
    server: str
    shown: frozenset[int]
    """Its finished pictures that may be shown on a page."""
    margin: float | None
    """How far the safety checker found its worst picture above a threshold."""
    refusals: Refusals

    @property
    def prompts(self) -> list[str]:
        return list_prompts(self.job.request)

    @property
    def withheld(self) -> list[int]:
        """The indices of pictures that are kept blurred."""
        return [split_image_id(each.image_id)[1] for each in self.waiting.kept]

    @property
    def num_hidden(self) -> int:
        """Pictures that are done and may not be shown on a page."""
        return sum(each.status is Status.DONE for each in self.job.images) - len(self.shown)


@router.get("/review")
async def show_queue(request: Request) -> HTMLResponse:
    """Show the oldest of what waits for the one who asks."""
    web, context = get_web(request), get_context(request)
    session = web.sessions.require(request)
    names, counted = web.settings.name_servers(), await context.rooms.reviews.count_waiting()
    there = sorted((each for each in counted if each in names), key=lambda each: -counted[each])[:MAX_SERVERS]
    mine = [each for each in there if await web.access.moderates(session.person, each)]
    found = await context.rooms.reviews.fetch_waiting(mine, limit=JOBS_A_PAGE)
    others = {names[each]: counted[each] for each in there if each not in mine}
    return render(
        request,
        "review.html",
        items=[await _build_item(context, each, names[each.guild_id]) for each in found],
        num_more=sum(counted[each] for each in mine) - len(found),
        others=others if web.access.is_operator(session.person) else {},
    )


async def _build_item(context: ApiContext, waiting: Waiting, server: str) -> Item:
    job = await fetch_job(context, waiting.job_id)
    margins = [max(each.judgement.margins.values(), default=0.0) for each in job.images if each.judgement is not None]
    since = context.rooms.clock() - _LOOK_BACK
    return Item(
        job=job,
        waiting=waiting,
        server=server,
        shown=frozenset(await list_shown(context, job)),
        margin=max(margins, default=None),
        refusals=await context.rooms.moderation.fetch_refusals(job.owner.guild_id, job.owner.user_id, since=since),
    )


@router.get("/review/{job_id}/{index}.jpg")
async def show_blurred(request: Request, job_id: str, index: int) -> Response:
    """Give a withheld picture, blurred past recognition."""
    _, waiting = await _require_waiting(request, get_web(request).sessions.require(request), job_id)
    context = get_context(request)
    kept = next((each for each in waiting.kept if split_image_id(each.image_id)[1] == index), None)
    data = await asyncio.to_thread(context.rooms.generation.files.get, kept.sha256) if kept is not None else None
    if data is None:
        raise PictureGoneError
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, no-store"})


@router.get("/review/{job_id}/{index}.webp")
async def show_reported(request: Request, job_id: str, index: int) -> Response:
    """Give a small form of a reported picture, if it may be shown on a page."""
    job, _ = await _require_waiting(request, get_web(request).sessions.require(request), job_id)
    if index not in await list_shown(get_context(request), job):
        raise PictureGoneError
    small = await get_web(request).small.fetch(job.images[index])
    return Response(small, media_type="image/webp", headers={"Cache-Control": "private, no-store"})


@router.post("/review/{job_id}")
async def decide(
    request: Request,
    job_id: str,
    decision: Annotated[str, Form(pattern="^(dismiss|delete|warn|block)$")],
    form_key: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Do what the button of that name does on Discord."""
    session = get_web(request).sessions.require(request)
    require_form_key(session, form_key)
    job, _ = await _require_waiting(request, session, job_id)
    desk = get_web(request).settings.desk
    assert desk is not None, "without one there are no moderators"
    await desk.decide(Owner(job.owner.guild_id, session.person.user_id), job, decision)
    return RedirectResponse("/review", 303)


async def _require_waiting(request: Request, session: Session, job_id: str) -> tuple[Job, Waiting]:
    """Return a job and what waits of it. Raise `UnknownJobError`, `DecidedError`."""
    web: Web = get_web(request)
    job = await fetch_job(get_context(request), job_id)
    if not await web.access.moderates(session.person, job.owner.guild_id):
        raise UnknownJobError
    waiting = await get_context(request).rooms.reviews.fetch_waiting_job(job_id)
    if waiting is None:
        raise DecidedError
    return job, waiting
