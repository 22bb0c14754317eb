"""`/api/v1`: jobs, and the key itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from api.admission import Accepted, Asked, Finish, submit, submit_request
from api.controls import Followed, follow_pictures
from api.dialect import Dialect, get_caller, get_context, require_key
from api.errors import (
    BeforeError,
    ErrorReply,
    NotDoneError,
    PictureHiddenError,
    ReferencePictureError,
    ReferencesError,
    StartError,
)
from api.jobs.events import follow
from api.jobs.schemas import ControlBody, JobBody, JobList, JobState, KeyState, Recipes, Reference, SeenPicture, Start
from api.jobs.views import build_state, fetch_state
from api.keys import Caller
from api.pictures import fetch_own_job, list_shown, read_picture
from api.uploads import MAX_JSON_BYTES, Found, Upload, edit_pictures, look_at, read_base64, start_from
from generation.admission.guide import Guide
from generation.admission.typed import Typed, build_request
from generation.errors import UnknownJobError
from generation.images.colours import Reading
from generation.images.loans import Loans
from generation.jobs.derive import reproduce
from generation.jobs.derive_edits import start_from_image
from generation.jobs.errors import PictureDeletedError
from generation.jobs.history import HistoryFilter
from generation.jobs.job import NO_CHANNEL, Image, Job, Status
from generation.owner import is_server
from generation.requests.spec import GenerationRequest

router = APIRouter(tags=["Jobs"])
EVENTS: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {}}}}
PNG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/png": {}}}}


@router.post("/jobs", status_code=202)
async def submit_job(request: Request, body: JobBody) -> JobState:
    """Have it accepted. The answer does not wait for the pictures."""
    context, caller = get_context(request), get_caller(request)
    asked = Asked(**body.model_dump(exclude={"start", "control", "references", "reference"}))
    start = None if body.start is None else await _read_start(request, caller, body.start)
    if body.references:
        if start is not None:
            raise ReferencesError
        pictures = [await _read_reference(request, each) for each in body.references]
        start = edit_pictures(context, caller.owner, pictures)
    finish = follow_pictures(context, caller.owner, [_read_control(each) for each in body.control], start)
    has_start = finish is not None
    if body.reference is not None:
        finish = await _read_image_prompt(request, caller, body.reference, finish)
    return await _show_accepted(request, await submit(context, caller, asked, finish, has_start=has_start))


def _read_control(body: ControlBody) -> Followed:
    guide = Guide(
        network=body.net, preparation=body.preprocessor, strength=body.strength, begin=body.begin, end=body.end
    )
    return Followed(picture=read_base64(body.picture), guide=guide)


async def _read_start(request: Request, caller: Caller, start: Start) -> Finish:
    """Return what makes the request of a picture to start from. Raise `StartError`."""
    if (start.picture is None) == (start.job is None):
        raise StartError
    if start.picture is None:
        if start.mask is not None:
            raise StartError
        job, image = await _fetch_image(request, start.job or "", start.index)
        await _require_startable(request, job, image)
        return partial(_start_from_own, job, image, start.strength)
    picture = read_base64(start.picture)
    mask = read_base64(start.mask, Reading.MASK) if start.mask is not None else None
    return start_from(get_context(request), caller.owner, picture, mask, strength=start.strength)


async def _read_reference(request: Request, seen: SeenPicture) -> Upload | Found:
    """Return a picture to edit. Raise `ReferencesError` if it is not named in one of the two ways."""
    if (seen.picture is None) == (seen.job is None):
        raise ReferencesError
    if seen.picture is not None:
        return read_base64(seen.picture)
    job, image = await _fetch_image(request, seen.job or "", seen.index)
    await _require_startable(request, job, image)
    if image.file_sha256 is None:
        raise PictureDeletedError
    return Found(image.id, image.file_sha256, image.spec.result_size_px)


async def _read_image_prompt(request: Request, caller: Caller, reference: Reference, start: Finish | None) -> Finish:
    """Return what makes the request, of files or of words alone, that looks at a reference.

    Raise `ReferencePictureError`.
    """
    if (reference.picture is None) == (reference.job is None):
        raise ReferencePictureError
    picture, owner = await _read_reference(request, reference), caller.owner
    adapter, strength = reference.adapter, reference.strength
    return look_at(get_context(request), owner, picture, start, adapter=adapter, strength=strength)


async def _require_startable(request: Request, job: Job, image: Image) -> None:
    """Raise `PictureHiddenError` for what may not be shown, and for what is from a channel, age-restricted or not."""
    context = get_context(request)
    is_collected = (await context.rooms.deliveries.fetch(job.id)).reply_to.channel_id == NO_CHANNEL
    if not is_collected or image.index not in await list_shown(context, job):
        raise PictureHiddenError


async def _start_from_own(
    job: Job, image: Image, strength: float, typed: Typed, loans: Loans
) -> tuple[GenerationRequest, frozenset[str]]:
    made = build_request(typed, start_size_px=image.spec.result_size_px)
    spec = start_from_image(image, strength=strength, seed=made.spec.seed, basis=made.spec)
    return replace(made, spec=spec, parent=image.id).shown_like(job.request), frozenset()


@router.get("/jobs")
async def list_jobs(
    request: Request,
    words: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
    before: str | None = None,
) -> JobList:
    """List the jobs of this key that have pictures, newest first: as `/history` does."""
    context, caller = get_context(request), get_caller(request)
    found = await context.rooms.history.fetch_page(
        caller.owner, HistoryFilter(words=words), limit=limit + 1, before=_read_time(before)
    )
    states = [await build_state(context, job) for job in found[:limit]]
    return JobList(jobs=states, before=found[limit - 1].created_at.isoformat() if len(found) > limit else None)


def _read_time(text: str | None) -> datetime | None:
    try:
        time = None if text is None else datetime.fromisoformat(text)
        if time is None or time.tzinfo is None:
            return time and time.replace(tzinfo=UTC)
        return time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BeforeError from None


@router.get("/jobs/{job_id}")
async def show_job(request: Request, job_id: str) -> JobState:
    """Say how far a job is."""
    context = get_context(request)
    return await fetch_state(context, await _fetch(request, job_id))


@router.get("/jobs/{job_id}/events", responses=EVENTS, response_class=StreamingResponse)
async def follow_job(request: Request, job_id: str) -> StreamingResponse:
    """Follow a job as server-sent events: `state`, `preview` (base64 of a JPEG), and at last `end`."""
    job = await _fetch(request, job_id)
    return StreamingResponse(
        follow(get_context(request), job, partial(require_key, request)), media_type="text/event-stream"
    )


@router.post("/jobs/{job_id}/cancel")
async def cancel_job(request: Request, job_id: str) -> JobState:
    """Stop what has not ended of a job: what waits at no cost, what runs for the steps it took."""
    context, job = get_context(request), await _fetch(request, job_id)
    if await context.rooms.generation.cancel(job.id):
        job = await context.rooms.generation.finished(job.id)
    return await build_state(context, job)


@router.get("/jobs/{job_id}/images/{index}", responses=PNG, response_class=Response)
async def show_image(request: Request, job_id: str, index: int) -> Response:
    """Give the file of a picture."""
    context, (job, image) = get_context(request), await _fetch_image(request, job_id, index)
    if not image.status.is_end:
        raise NotDoneError
    if image.status is not Status.DONE or index not in await list_shown(context, job):
        raise PictureHiddenError
    picture = await read_picture(context, image)
    return Response(picture.png, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/jobs/{job_id}/recipe")
async def show_recipe(request: Request, job_id: str) -> Recipes:
    """Give all that is needed to make the pictures of a job again."""
    job = await _fetch(request, job_id)
    return Recipes(recipes=[msgspec.json.decode(each.recipe.to_json()) for each in job.images if each.recipe])


@router.post("/jobs/{job_id}/images/{index}/reproduce", status_code=202)
async def reproduce_image(request: Request, job_id: str, index: int) -> JobState:
    """Paint a picture again, byte for byte."""
    job, image = await _fetch_image(request, job_id, index)
    if image.recipe is None:
        raise NotDoneError
    again = reproduce(image.recipe, parent=image.id, original=image.file_sha256).shown_like(job.request, alt=image.alt)
    return await _show_accepted(request, await submit_request(get_context(request), get_caller(request), again))


@router.get("/key")
async def show_key(request: Request) -> KeyState:
    """Say whose key this is."""
    context, caller = get_context(request), get_caller(request)
    live = await context.rooms.api_keys.fetch_live(caller.owner)
    guild_id = caller.owner.guild_id
    name = next((each.name for each in live if each.id == caller.key_id), "")
    return KeyState(name=name, server=str(guild_id) if is_server(guild_id) else None)


@router.delete("/key", status_code=204)
async def revoke_key(request: Request) -> None:
    """End this key, now."""
    await get_context(request).rooms.api_keys.end(get_caller(request).key_id)


async def _show_accepted(request: Request, accepted: Accepted) -> JobState:
    state = await build_state(get_context(request), accepted.job)
    return state.model_copy(update={"warnings": accepted.list_warnings()})


async def _fetch(request: Request, job_id: str) -> Job:
    return await fetch_own_job(get_context(request), get_caller(request), job_id)


async def _fetch_image(request: Request, job_id: str, index: int) -> tuple[Job, Image]:
    job = await _fetch(request, job_id)
    if not 0 <= index < len(job.images):
        raise UnknownJobError
    return job, job.images[index]


def write_error(reply: ErrorReply) -> Mapping[str, Any]:
    return {"error": reply.code, "message": reply.message}


JOBS = Dialect(
    name="jobs", prefix="/api/v1", router=router, write_error=write_error, large_bodies={"/jobs": MAX_JSON_BYTES}
)
