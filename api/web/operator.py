"""The operator's page: what waits for which server, what works on it, what goes wrong; pause, resume and weights."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from api.context import ApiContext
from api.dialect import get_context
from api.web.access import TENANTS
from api.web.charts import draw_all
from api.web.pages import get_web, render
from api.web.sessions import Session, require_form_key
from db.stores.audit_log import Entry
from generation.errors import NotAllowedError
from generation.policy.guild_settings import MAX_WEIGHT, MIN_WEIGHT, say_weight
from generation.requests.cost import UNITS_PER_STEP
from generation.scheduling.worker_status import WorkerStatus

router = APIRouter(include_in_schema=False)
DAYS = (1, 7, 30)


class NotTheOperatorError(NotAllowedError):
    """This page is for the operators of this bot: those in ATELIER_OWNER_IDS."""


@dataclass(frozen=True, slots=True)
class ServerLine:
    """What a server has and had. `steps`: standard steps of the days that are looked at."""

    guild_id: int
    name: str
    weight: float = 1.0
    num_reviews: int = 0
    """Requests that wait for its moderators."""
    num_running: int = 0
    num_waiting: int = 0
    num_images: int = 0
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Storage:
    """Of the disk of the pictures, in GB."""

    free: float
    size: float


@router.get("/operator")
async def show_operator(request: Request, days: Annotated[int, Query(ge=1, le=30)] = 7) -> HTMLResponse:
    """Show the state of the whole program; a part of it where a page renews itself."""
    _require_operator(request)
    context = get_context(request)
    rooms, generation = context.rooms, context.rooms.generation
    lines = await _list_servers(context, get_web(request).settings.name_servers(), days=days)
    # What renews itself is the state, and not what days have had.
    found = [] if request.headers.get("HX-Request") else await get_web(request).daily.fetch(rooms.clock())
    charts, table = draw_all(found) if found else ([], None)
    units_per_s = generation.units_per_s
    return render(
        request,
        "operator.html",
        days=days,
        choices=DAYS,
        lines=lines,
        most_steps=max((each.steps for each in lines), default=0),
        charts=charts,
        table=table,
        num_reviews=sum(each.num_reviews for each in lines),
        num_running=generation.num_running,
        num_waiting=generation.num_waiting,
        is_paused=generation.is_paused,
        is_closed=generation.is_closed,
        workers=generation.workers,
        speed=_compute_steps_a_minute,
        steps_a_minute=round(60 * units_per_s / UNITS_PER_STEP) if units_per_s else None,
        problems=[str(each) for each in rooms.problems],
        errors=get_web(request).settings.list_errors(),
        weights=(MIN_WEIGHT, MAX_WEIGHT),
        unusable=await asyncio.to_thread(generation.list_unusable_models),
        models=generation.catalog.models,
        loaded={each.name for each in generation.loaded_models},
        storage=await asyncio.to_thread(_measure, context),
    )


@router.post("/operator/pause")
async def pause(
    request: Request, is_paused: Annotated[bool, Form()], form_key: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Start no new picture, or go on."""
    require_form_key(_require_operator(request), form_key)
    rooms = get_context(request).rooms
    await rooms.operator.set_paused(is_paused)
    rooms.generation.pause(is_paused)
    return RedirectResponse("/operator", 303)


@router.post("/operator/weight")
async def set_weight(
    request: Request,
    server: Annotated[int, Form()],
    weight: Annotated[float, Form()],
    form_key: Annotated[str, Form(max_length=100)] = "",
) -> Response:
    """Give a server another share. Its audit log keeps who did."""
    session = _require_operator(request)
    require_form_key(session, form_key)
    rooms = get_context(request).rooms
    entry = Entry(session.person.user_id, say_weight(weight))
    _, after = await rooms.guild_policy.change_settings(server, lambda old: replace(old, weight=weight), entry)
    rooms.generation.set_weight(server, after.weight)
    return RedirectResponse("/operator", 303)


def _require_operator(request: Request) -> Session:
    """Return the session of an operator. Raise `NotSignedInError`, `NotTheOperatorError`."""
    web = get_web(request)
    session = web.sessions.require(request)
    if not web.access.is_operator(session.person):
        raise NotTheOperatorError
    return session


async def _list_servers(context: ApiContext, names: Mapping[int, str], *, days: int) -> list[ServerLine]:
    """Return the servers with pictures now or in the last days, most work first."""
    generation = context.rooms.generation
    running, waiting = Counter[int](), Counter[int]()
    for job_id in generation.list_live_ids():
        view = generation.view(job_id)
        if view is not None:
            guild_id = view.job.owner.guild_id
            num_running = sum(image.status.value == "running" for image in view.job.images)
            running[guild_id] += num_running
            waiting[guild_id] += sum(not image.status.is_end for image in view.job.images) - num_running
    used = await context.rooms.usage.fetch_guilds(since=context.rooms.clock() - timedelta(days=days))
    usage = {each.guild_id: each.usage for each in used}
    weights = {each.guild_id: each.weight for each in await context.rooms.guilds.fetch_all()}
    reviews = await context.rooms.reviews.count_waiting()
    lines = [
        ServerLine(
            each,
            TENANTS.get(each) or names.get(each) or f"{each} (bot removed)",
            weights.get(each, 1.0),
            reviews.get(each, 0),
            running[each],
            waiting[each],
            usage[each].num_images if each in usage else 0,
            round(usage[each].used / UNITS_PER_STEP) if each in usage else 0,
        )
        for each in {*running, *waiting, *usage, *reviews}
    ]
    return sorted(lines, key=lambda each: (-each.num_running - each.num_waiting, -each.steps, each.name))


def _compute_steps_a_minute(worker: WorkerStatus) -> int | None:
    return None if worker.units_per_s is None else round(60 * worker.units_per_s / UNITS_PER_STEP)


def _measure(context: ApiContext) -> Storage | None:
    try:
        found = shutil.disk_usage(context.rooms.generation.files.folder)
    except OSError:
        return None
    return Storage(found.free / 1e9, found.total / 1e9)
