"""`/sdapi/v1`: the web UI's API. It waits for its pictures, as the web UI does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request

from api.a1111 import lists
from api.a1111.answers import build_painted, build_progress, encode
from api.a1111.asked import list_ignored, read_asked, read_parameters
from api.a1111.controls import read_controls
from api.a1111.controls import router as controls
from api.a1111.pictures import describe_settings, read_enlargement, read_start
from api.a1111.schemas import Extra, ExtraBody, ImageBody, InfoBody, PaintBody, Painted, PngInfo, Progress, TextBody
from api.a1111.sessions import get_session
from api.admission import Accepted, Asked, Finish, fetch_context, submit
from api.controls import Followed, follow_pictures
from api.dialect import Dialect, get_caller, get_context
from api.errors import ErrorReply
from api.pictures import Picture, read_pictures
from api.uploads import MAX_JSON_BYTES, read_base64, read_upload_settings
from api.waiting import wait_for_end

router = APIRouter(tags=["AUTOMATIC1111"])
router.include_router(lists.router)


@router.post("/txt2img")
async def paint_from_words(request: Request, body: TextBody) -> Painted:
    """Paint pictures from words, and answer with them when they are done."""
    return await _paint(request, body, None, read_controls(body))


@router.post("/img2img")
async def paint_from_picture(request: Request, body: ImageBody) -> Painted:
    """Paint from a picture; with a mask, only where it is white."""
    start = read_start(get_context(request), get_caller(request), body)
    return await _paint(request, body, start, read_controls(body, body.init_images[0] if body.init_images else None))


@router.post("/extra-single-image")
async def enlarge(request: Request, body: ExtraBody) -> Extra:
    """Enlarge a picture."""
    context, caller = get_context(request), get_caller(request)
    finish = read_enlargement(context, caller, body, (await fetch_context(context, caller)).policy)
    _, pictures = await _wait_for(request, Asked(prompt="a picture", model=get_session(request).model), finish)
    return Extra(image=encode(pictures[0].png))


@router.post("/png-info")
async def read_info(request: Request, body: InfoBody) -> PngInfo:
    """Say how a picture was made: by Atelier, or as another program wrote it."""
    found = await read_upload_settings(get_context(request), get_caller(request).owner, read_base64(body.image))
    text, values = describe_settings(found)
    return PngInfo(info=text, items={"parameters": text} if text else {}, parameters=values)


async def _paint(request: Request, body: PaintBody, start: Finish | None, followed: list[Followed]) -> Painted:
    finish = follow_pictures(get_context(request), get_caller(request).owner, followed, start)
    parameters, ignored = read_parameters(body), list_ignored(body)
    accepted, pictures = await _wait_for(request, read_asked(body, get_session(request)), finish)
    return build_painted(accepted, pictures, parameters, ignored)


async def _wait_for(request: Request, asked: Asked, finish: Finish | None) -> tuple[Accepted, list[Picture]]:
    context, session = get_context(request), get_session(request)
    accepted = await submit(context, get_caller(request), asked, finish)
    with session.waiting_for(accepted.job.id):
        job = await wait_for_end(context, request, accepted.job.id)
    return accepted, await read_pictures(context, job)


@router.get("/progress")
async def show_progress(request: Request) -> Progress:
    """Say how far the oldest request of this key is that waits."""
    generation, job_ids = get_context(request).rooms.generation, get_session(request).job_ids
    views = [view for each in job_ids if (view := generation.view(each)) is not None]
    return build_progress(views[0], len(views)) if views else Progress()


@router.post("/interrupt")
async def interrupt(request: Request) -> dict[str, Any]:
    """Cancel the jobs that requests of this key wait for. These answer with the pictures that are done."""
    for job_id in tuple(get_session(request).job_ids):
        await get_context(request).rooms.generation.cancel(job_id)
    return {}


def write_error(reply: ErrorReply) -> Mapping[str, Any]:
    return {"error": reply.code, "detail": reply.message, "body": "", "errors": reply.message}


_LARGE = ("/txt2img", "/img2img", "/extra-single-image", "/png-info")
A1111 = Dialect(
    name="a1111",
    prefix="/sdapi/v1",
    router=router,
    write_error=write_error,
    challenge="Basic",
    large_bodies=dict.fromkeys(_LARGE, MAX_JSON_BYTES),
)
CONTROLNET = Dialect(name="a1111", prefix="/controlnet", router=controls, write_error=write_error, challenge="Basic")
"""Of the ControlNet extension: clients ask it what there is."""
