"""The pages: sign-in, the gallery of a member, one picture, downloads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse, Response, StreamingResponse

from api.admission import submit_request
from api.dialect import Dialect, get_context
from api.errors import ErrorReply, NotDoneError, PictureHiddenError, UnknownPathError
from api.pictures import read_picture
from api.web import operator, review, usage
from api.web.access import name_with
from api.web.gallery import MAX_DOWNLOADED, Card, Look, fetch_page, write_zip
from api.web.pages import FOLDER, PAGE, answer_error, get_web, render
from api.web.sessions import require_form_key
from api.web.sign_in import SignInError, build_authorize_url, fetch_person
from generation.images.metadata import format_parameters
from generation.jobs.derive import reproduce
from generation.jobs.job import Image, Job, Status

router = APIRouter(include_in_schema=False)
_STATIC = {"icon.svg": "image/svg+xml", "style.css": "text/css", "htmx.min.js": "text/javascript"}
Kind = Annotated[str, Query(pattern="^(mine|favourites|showcase)$")]
Words = Annotated[str, Query(max_length=200)]
Time = Annotated[str, Query(max_length=40)]
PagePath = Annotated[str, Query(pattern=f"^{PAGE}$")]


@router.get("/")
async def show_home(request: Request) -> Response:
    """Show what this is, or the gallery to who is signed in."""
    if get_web(request).sessions.find(request) is not None:
        return RedirectResponse("/gallery", 303)
    return render(request, "home.html")


@router.get("/static/{name}")
async def show_static(name: str) -> Response:
    """Give a file that pages use."""
    if name not in _STATIC:
        raise UnknownPathError
    return FileResponse(
        FOLDER / "static" / name, media_type=_STATIC[name], headers={"Cache-Control": "public, max-age=3600"}
    )


@router.get("/sign-in")
async def sign_in(request: Request, to: PagePath = "/gallery") -> Response:
    """Send the browser to Discord. `to`: the page that it comes back to."""
    web = get_web(request)
    answer = RedirectResponse("", 303)
    answer.headers["Location"] = build_authorize_url(web.settings, web.sessions.begin_state(answer, to))
    return answer


@router.get("/sign-in/done")
async def end_sign_in(
    request: Request,
    state: Annotated[str, Query(max_length=300)] = "",
    code: Annotated[str, Query(max_length=200)] = "",
) -> Response:
    """Take what Discord says of who it is."""
    web = get_web(request)
    to = web.sessions.require_state(request, state)
    if not code:  # the member said no
        raise SignInError
    person = await fetch_person(web.settings, code)
    answer = RedirectResponse(to, 303)
    web.sessions.begin(answer, person)
    return answer


@router.post("/sign-out")
async def sign_out(request: Request, form_key: Annotated[str, Form(max_length=100)] = "") -> Response:
    """End the session."""
    web = get_web(request)
    require_form_key(web.sessions.require(request), form_key)
    answer = RedirectResponse("/", 303)
    web.sessions.end(request, answer)
    return answer


@router.get("/gallery")
async def show_gallery(
    request: Request, server: int | None = None, kind: Kind = "mine", words: Words = "", before: Time = ""
) -> HTMLResponse:
    """Show the pictures of a member in a server, or the showcase of that server."""
    web = get_web(request)
    person = web.sessions.require(request).person
    servers = await web.access.list_servers(person)
    if server is None and not servers:
        return render(request, "gallery.html", servers=[], look=None, page=None, most=MAX_DOWNLOADED, moderates=False)
    look = Look(server=servers[0].id if server is None else server, kind=kind, words=words.strip(), before=before)
    caller = await web.access.require_member(person, look.server)
    page = await fetch_page(get_context(request), web.access, caller, look)
    moderates = await web.access.moderates(person, look.server)
    values: dict[str, Any] = {"look": look, "page": page, "most": MAX_DOWNLOADED}
    if request.headers.get("HX-Request"):  # the next page only, under the last
        return render(request, "_cards.html", **values)
    return render(request, "gallery.html", servers=name_with(servers, look.server), moderates=moderates, **values)


@router.get("/gallery/download")
async def download(request: Request, server: int, kind: Kind = "mine", words: Words = "") -> Response:
    """Give the newest pictures of a look as a ZIP."""
    web = get_web(request)
    context, person = get_context(request), web.sessions.require(request).person
    caller, cards, before = await web.access.require_member(person, server), list[Card](), ""
    while len(cards) < MAX_DOWNLOADED:
        look = Look(server=server, kind=kind, words=words.strip(), before=before)
        page = await fetch_page(context, web.access, caller, look)
        cards += page.cards
        before = page.next_before
        if not before:
            break
    headers = {"Content-Disposition": 'attachment; filename="atelier.zip"'}
    return StreamingResponse(write_zip(context, cards[:MAX_DOWNLOADED]), media_type="application/zip", headers=headers)


@router.get("/gallery/{job_id}/{index}")
async def show_picture(request: Request, job_id: str, index: int) -> HTMLResponse:
    """Show one picture, and how it was made; while it is being made, how far it is."""
    web = get_web(request)
    person = web.sessions.require(request).person
    job, image = await web.access.fetch_image(person, job_id, index)
    shown = image.status is Status.DONE and index in await web.access.list_shown(job)
    view = get_context(request).rooms.generation.view(job_id)
    return render(
        request,
        "picture.html",
        card=Card(job, image),
        is_shown=shown,
        is_own=job.owner.user_id == person.user_id,
        progress=round(100 * view.progress) if view is not None else None,
        parameters=format_parameters(image.recipe) if image.recipe is not None else "",
        others=[each for each in job.images if each.index != index and each.status is Status.DONE],
    )


async def _fetch_shown(request: Request, job_id: str, index: int) -> tuple[Job, Image]:
    """Return a finished picture that the one who asks may see. Raise `NotDoneError`, `PictureHiddenError`."""
    web = get_web(request)
    job, image = await web.access.fetch_image(web.sessions.require(request).person, job_id, index)
    if not image.status.is_end:
        raise NotDoneError
    if image.status is not Status.DONE or index not in await web.access.list_shown(job):
        raise PictureHiddenError
    return job, image


@router.get("/pictures/{job_id}/{index}.png")
async def show_file(request: Request, job_id: str, index: int) -> Response:
    """Give the file of a picture."""
    _, image = await _fetch_shown(request, job_id, index)
    picture = await read_picture(get_context(request), image)
    headers = {
        "Cache-Control": "private, max-age=3600",
        "Content-Disposition": f'inline; filename="{job_id}-{index}.png"',
    }
    return Response(picture.png, media_type="image/png", headers=headers)


@router.get("/pictures/{job_id}/{index}.webp")
async def show_small(request: Request, job_id: str, index: int) -> Response:
    """Give a small form of a picture."""
    _, image = await _fetch_shown(request, job_id, index)
    small = await get_web(request).small.fetch(image)
    return Response(small, media_type="image/webp", headers={"Cache-Control": "private, max-age=3600"})


@router.get("/gallery/{job_id}/{index}/recipe.json")
async def show_recipe(request: Request, job_id: str, index: int) -> Response:
    """Give all that is needed to make a picture again."""
    _, image = await _fetch_shown(request, job_id, index)
    if image.recipe is None:
        raise NotDoneError
    return Response(image.recipe.to_json(), media_type="application/json")


@router.post("/gallery/{job_id}/{index}/reproduce")
async def reproduce_picture(
    request: Request, job_id: str, index: int, form_key: Annotated[str, Form(max_length=100)] = ""
) -> Response:
    """Paint a picture again, byte for byte, for the member who asks."""
    web = get_web(request)
    session = web.sessions.require(request)
    require_form_key(session, form_key)
    job, image = await _fetch_shown(request, job_id, index)
    if image.recipe is None:
        raise NotDoneError
    caller = await web.access.require_member(session.person, job.owner.guild_id)
    again = reproduce(image.recipe, parent=image.id, original=image.file_sha256).shown_like(job.request, alt=image.alt)
    accepted = await submit_request(get_context(request), caller, again)
    return RedirectResponse(f"/gallery/{accepted.job.id}/0", 303)


def write_error(reply: ErrorReply) -> Mapping[str, Any]:
    return {"error": reply.code, "message": reply.message}


router.include_router(operator.router)
router.include_router(review.router)
router.include_router(usage.router)
WEB = Dialect(
    name="pages",
    prefix="",
    router=router,
    write_error=write_error,
    is_open=True,
    answer_error=answer_error,
    max_body_bytes=64 * 1024,
)
