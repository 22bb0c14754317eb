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
from api.web.charts import DailyUsage
from api.web.gallery import SmallPictures
from api.web.sessions import NotSignedInError, Session, Sessions
from api.web.settings import WebSettings

FOLDER = Path(__file__).parent
PAGE = "/[A-Za-z0-9][A-Za-z0-9/]{0,99}"
"""The path of one of these pages, as a pattern; never the address of another site, such as //example.org."""
REVIEW = ("/review", "Review")
PAGES = (("/gallery", "Gallery"), ("/usage", "Usage"))
OPERATORS = (("/operator", "Operator"), REVIEW)
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
    daily: DailyUsage


def build_web(context: ApiContext, settings: WebSettings) -> Web:
    return Web(
        settings=settings,
        sessions=Sessions(context.rooms.monotonic, is_tls=settings.is_tls),
        access=Access(context, settings),
        small=SmallPictures(context),
        daily=DailyUsage(context.rooms.usage),
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
    """Return a page, with the links to those that the one who asks may open."""
    web = get_web(request)
    session = web.sessions.find(request)
    is_operator = session is not None and web.access.is_operator(session.person)
    moderates = values.get("moderates", request.url.path == "/review")
    nav = [*PAGES, *OPERATORS] if is_operator else [*PAGES, REVIEW] if moderates else [*PAGES]
    return HTMLResponse(write(name, session, nav=nav, here=request.url.path, **values), status, headers=SAFE)


def write(name: str, session: Session | None, **values: Any) -> str:
    return _TEMPLATES.get_template(name).render(session=session, **values)


def answer_error(reply: ErrorReply, error: BaseException) -> Response:
    """Return the page that says what went wrong; it knows no one, but where they wanted to go."""
    to = error.to if isinstance(error, NotSignedInError) else ""
    page = write("error.html", None, nav=(), here="", reply=reply, to=to if re.fullmatch(PAGE, to) else "/gallery")
    return HTMLResponse(page, status_code=reply.status, headers=SAFE)
