"""A part of the API: its addresses, and in which shape it says what went wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from api.context import ApiContext
from api.errors import ErrorReply, NoKeyError, build_reply
from api.keys import Caller, Keys

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """`prefix` begins with a slash and ends with none; the longest that fits a path is its dialect."""

    name: str
    """What metrics call it."""
    prefix: str
    router: APIRouter
    write_error: Callable[[ErrorReply], Mapping[str, Any]]
    challenge: str = "Bearer"
    """What WWW-Authenticate says; “Basic” makes browsers ask for a password."""
    max_body_bytes: int = MIB
    large_bodies: Mapping[str, int] = field(default_factory=dict)
    """In place of it, by the path after the prefix: for addresses that take pictures."""
    is_open: bool = False
    """Whether it is answered without a key: pages, which ask in their own way who it is."""
    answer_error: Callable[[ErrorReply, BaseException], Response] | None = None
    """In place of JSON: for pages."""

    def covers(self, path: str) -> bool:
        return path == self.prefix or path.startswith(f"{self.prefix}/")

    def get_max_body(self, path: str) -> int:
        """Return how many bytes the body of a request to that path may have."""
        return self.large_bodies.get(path.removeprefix(self.prefix), self.max_body_bytes)

    def answer(self, error: BaseException) -> Response:
        """Return the answer that says what went wrong."""
        reply = build_reply(error)
        if self.answer_error is not None:
            return self.answer_error(reply, error)
        headers = {"Retry-After": str(reply.wait_s)} if reply.wait_s is not None else {}
        if reply.status == 401:
            headers["WWW-Authenticate"] = f'{self.challenge} realm="atelier"'
        return JSONResponse(self.write_error(reply), status_code=reply.status, headers=headers)


async def require_key(request: Request) -> None:
    """Raise `WrongKeyError` where the key of a request has ended meanwhile: with it, what is still to be said."""
    keys: Keys = request.scope["atelier.keys"]
    await keys.authenticate(request.scope["headers"])


def get_context(request: Request) -> ApiContext:
    context: ApiContext = request.app.state.context
    return context


def get_caller(request: Request) -> Caller:
    """Return whose key it is. Raise `NoKeyError` where the gate asked for none."""
    caller = request.scope.get("atelier.caller")
    if not isinstance(caller, Caller):
        raise NoKeyError
    return caller
