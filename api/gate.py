"""What every request passes before a route sees it: whose key it is, and a body of a bounded size, in bounded time.

The key comes first: nothing of a body is read for someone who has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.context import ApiContext
from api.counting import count_request
from api.dialect import MIB, Dialect
from api.errors import (
    BodyLengthError,
    BodyTooLargeError,
    BodyTooSlowError,
    TooManyOpenError,
    UnknownPathError,
    UnreadableBodyError,
)
from api.keys import Keys
from generation import metrics
from generation.errors import AtelierError, CrowdedError
from generation.owner import Owner

log = logging.getLogger(__name__)
MAX_PARTS = 10_000
"""Commas and brackets of a body. Words may hold 8,000 of them; reading 50,000 took a second."""
_SAFE = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))


class Gate:
    """ASGI around an application. `dialects`: the longest prefix first; `open_paths`: those that need no key."""

    def __init__(
        self, app: ASGIApp, *, context: ApiContext, dialects: Sequence[Dialect], open_paths: frozenset[str]
    ) -> None:
        self._app, self._limits = app, context.limits
        self._keys = Keys(context)
        self._dialects = sorted(dialects, key=lambda each: -len(each.prefix))
        self._open_paths = open_paths
        self._open: Counter[Owner] = Counter()
        self._num_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        dialect = self.find_dialect(scope["path"])
        with count_request("none" if dialect is None else dialect.name, _make_safe(send)) as counted:
            await self._pass(scope, receive, counted, dialect)

    async def _pass(self, scope: Scope, receive: Receive, send: Send, dialect: Dialect | None) -> None:
        try:
            if scope["path"] in self._open_paths:
                await self._answer(scope, receive, send, max_bytes=0)
            elif dialect is None:
                raise UnknownPathError
            elif dialect.is_open:
                await self._answer(scope, receive, send, max_bytes=dialect.get_max_body(scope["path"]))
            else:
                await self._answer_owner(scope, receive, send, dialect)
        except AtelierError as error:
            metrics.count_refusal(error)
            answer = (dialect or self._dialects[-1]).answer(error)
            if isinstance(error, BodyLengthError):  # who knows where the next request begins
                answer.headers["Connection"] = "close"
            await answer(scope, receive, send)

    def find_dialect(self, path: str) -> Dialect | None:
        return next((each for each in self._dialects if each.covers(path)), None)

    async def _answer_owner(self, scope: Scope, receive: Receive, send: Send, dialect: Dialect) -> None:
        caller = await self._keys.authenticate(scope["headers"])
        if self._open[caller.owner] >= self._limits.open_at_once:
            raise TooManyOpenError(most=self._limits.open_at_once)
        self._open[caller.owner] += 1
        try:
            scope["atelier.caller"], scope["atelier.keys"] = caller, self._keys
            await self._answer(scope, receive, send, max_bytes=dialect.get_max_body(scope["path"]))
        finally:
            self._open[caller.owner] -= 1
            if not self._open[caller.owner]:
                del self._open[caller.owner]

    async def _answer(self, scope: Scope, receive: Receive, send: Send, *, max_bytes: int) -> None:
        """Read the body, then have it answered. Its bytes count until then."""
        length = _read_length(scope)
        if length > max_bytes:
            raise BodyTooLargeError(most=max(1, max_bytes // MIB))
        held = _Held()
        try:
            body = await self._read_body(receive, held, max_bytes)
            require_plain(scope, body)
            await self._app(scope, _replay(body, receive), send)
        finally:
            self._num_bytes -= held.num_bytes

    async def _read_body(self, receive: Receive, held: _Held, max_bytes: int) -> bytes:
        chunks = list[bytes]()
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    chunk = message.get("body", b"")
                    held.num_bytes += len(chunk)
                    self._num_bytes += len(chunk)
                    if held.num_bytes > max_bytes:
                        raise BodyTooLargeError(most=max(1, max_bytes // MIB))
                    if self._num_bytes > self._limits.bodies_bytes:
                        raise CrowdedError
                    chunks.append(chunk)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise BodyTooSlowError(most_s=round(self._limits.body_s)) from None
        return b"".join(chunks)


class _Held:
    """How many bytes of a body are held."""

    num_bytes = 0


def _read_length(scope: Scope) -> int:
    """Return what the request says of the length of its body; 0 where it says nothing. Raise `BodyLengthError`."""
    said = [value for name, value in scope["headers"] if name == b"content-length"]
    is_chunked = any(name == b"transfer-encoding" for name, _ in scope["headers"])
    if not said:
        return 0
    if is_chunked or len(said) > 1 or not said[0].isdigit() or len(said[0]) > 18:
        raise BodyLengthError
    return int(said[0])


def require_plain(scope: Scope, body: bytes) -> None:
    """Raise `UnreadableBodyError` for JSON of so many parts that reading it would hold up everyone.

    Pictures are one long text each, without any of these signs.
    """
    if any(name == b"content-type" and value.startswith(b"multipart/") for name, value in scope["headers"]):
        return  # these are counted as they are read
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_PARTS:
        raise UnreadableBodyError(reason=f"it has more than {MAX_PARTS} parts")


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the whole body once, then what really comes: that the other side hung up."""
    given = False

    async def receive_again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_again


def _make_safe(send: Send) -> Send:
    async def send_safely(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            there = {name.lower() for name, _ in headers}
            headers += [each for each in _SAFE if each[0] not in there]
            if b"cache-control" not in there:
                headers.append((b"cache-control", b"no-store"))
            message = {**message, "headers": headers}
        await send(message)

    return send_safely
