"""What every page needs: its template, who is signed in, and headers that keep other sites out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from api.context import ApiContext
from api.dialect import get_context
from api.errors import ErrorReply
from api.web.access import Access
from api.web.gallery import SmallPictures
from api.web.sessions import NotSignedInError, Session, Sessions
from api.web.settings import WebSettings

FOLDER = Path(__file__).parent
PAGE = "/[A-Za-z0-9][A-Za-z0-9/]{0,99}"
"""The path of one of these pages, as a pattern; never the address of another site, such as //example.org."""
SAFE = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self'; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
}
_TEMPLATES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Web:
    """All that the pages work with, for as long as the application runs."""

    settings: WebSettings
    sessions: Sessions
    access: Access
    small: SmallPictures


def build_web(context: ApiContext, settings: WebSettings) -> Web:
    return Web(
        settings=settings,
        sessions=Sessions(context.rooms.monotonic, is_tls=settings.is_tls),
        access=Access(context, settings),
        small=SmallPictures(context),
    )


def get_web(request: Request) -> Web:
    """Return what the pages of this application work with."""
    state = request.app.state
    if not hasattr(state, "web"):
        context = get_context(request)
        assert context.web is not None, "the pages are served only where they are set up"
        state.web = build_web(context, context.web)
    web: Web = state.web
    return web


def render(request: Request, name: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """Return a page. `session` and `is_operator` are there in all templates."""
    web = get_web(request)
    session = web.sessions.find(request)
    return HTMLResponse(write(name, session, is_operator=_is_operator(web, session), **values), status, headers=SAFE)


def _is_operator(web: Web, session: Session | None) -> bool:
    return session is not None and web.access.is_operator(session.person)


def write(name: str, session: Session | None, **values: Any) -> str:
    return _TEMPLATES.get_template(name).render(session=session, **values)


def answer_error(reply: ErrorReply, error: BaseException) -> Response:
    """Return the page that says what went wrong; it knows no one, but where they wanted to go."""
    to = error.to if isinstance(error, NotSignedInError) else ""
    page = write("error.html", None, is_operator=False, reply=reply, to=to if re.fullmatch(PAGE, to) else "/gallery")
    return HTMLResponse(page, status_code=reply.status, headers=SAFE)
