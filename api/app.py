"""Puts the dialects together to one application."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from api.a1111.routes import A1111, CONTROLNET
from api.context import ApiContext
from api.dialect import Dialect
from api.errors import MethodError, UnknownPathError, UnreadableBodyError
from api.gate import Gate
from api.jobs.routes import JOBS
from api.openai.routes import OPENAI
from api.web.routes import WEB
from generation import metrics
from generation.errors import AtelierError

log = logging.getLogger(__name__)
DIALECTS: tuple[Dialect, ...] = (OPENAI, A1111, CONTROLNET, JOBS)
OPENAPI = "/openapi.json"
_MAX_REASON = 200


def build_app(context: ApiContext, dialects: Sequence[Dialect] = DIALECTS) -> FastAPI:
    """Return the application that serves the dialects, a description of them at /openapi.json, and pages if set up."""
    if context.web is not None:
        dialects = (*dialects, WEB)
    app = FastAPI(
        title="Atelier",
        description="Pictures by the queue, the rules and the quotas of a server.",
        version="1",
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = context
    for each in dialects:
        app.include_router(each.router, prefix=each.prefix)
    gate = {"context": context, "dialects": dialects, "open_paths": frozenset({OPENAPI})}
    app.add_middleware(Gate, **gate)  # type: ignore[arg-type]
    _answer_errors(app, dialects)
    return app


def _answer_errors(app: FastAPI, dialects: Sequence[Dialect]) -> None:
    ordered = sorted(dialects, key=lambda each: -len(each.prefix))

    def answer(request: Request, error: BaseException) -> Response:
        path = request.scope["path"]
        return next((each for each in ordered if each.covers(path)), ordered[-1]).answer(error)

    async def refuse(request: Request, error: Exception) -> Response:
        metrics.count_refusal(error)
        return answer(request, error)

    async def refuse_form(request: Request, error: Exception) -> Response:
        return answer(request, UnreadableBodyError(reason=_describe(error)))

    async def refuse_path(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        if status == 400:  # FastAPI's, for a body that it cannot parse
            return answer(request, UnreadableBodyError(reason="it is not what its Content-Type says"))
        return answer(request, MethodError() if status == 405 else UnknownPathError())

    async def fail(request: Request, error: Exception) -> Response:
        metrics.INCIDENTS.inc()
        log.error("method=%s action=api-failed", request.method, exc_info=error)
        return answer(request, error)

    app.add_exception_handler(AtelierError, refuse)
    app.add_exception_handler(RequestValidationError, refuse_form)
    app.add_exception_handler(HTTPException, refuse_path)
    app.add_exception_handler(Exception, fail)


def _describe(error: Exception) -> str:
    """Return what is wrong with the first value at fault, without the value."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(each) for each in first["loc"][1:]) or "the body"
    said = "it must be a file, with a file name" if "UploadFile" in first["msg"] else first["msg"]
    return f"{where}: {said}"[:_MAX_REASON]
