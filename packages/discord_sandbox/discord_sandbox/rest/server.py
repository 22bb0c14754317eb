"""The REST server: parses requests, checks the token, applies faults and rate limits, and records calls."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable
from http.client import responses as PHRASES
from typing import Any

from aiohttp import BodyPartReader, web

from discord_sandbox.errors import (
    DiscordError,
    InvalidJsonError,
    RequestTooLargeError,
    UnauthorizedError,
    UnknownRouteError,
)
from discord_sandbox.faults import Fault, Faults
from discord_sandbox.journal import Journal, RestCall, Violation
from discord_sandbox.message_content import Upload
from discord_sandbox.message_service import MAX_REQUEST
from discord_sandbox.openapi_validator import OpenApiValidator
from discord_sandbox.rate_limits import RateLimits
from discord_sandbox.rest import applications, channels, guilds, responses, users
from discord_sandbox.rest.call import Call, Handler, RestResponse, Route, Services

PREFIX = "/api/v10"
_FILE_PART = re.compile(r"files\[(\d+)\]")
_OVERHEAD = 1 << 20
Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]


class RestServer:
    """The REST server."""

    def __init__(
        self, services: Services, faults: Faults, limits: RateLimits, journal: Journal, validator: OpenApiValidator
    ) -> None:
        self._services = services
        self._faults = faults
        self._limits = limits
        self._journal = journal
        self._validator = validator

    def add_to(self, app: web.Application) -> None:
        """Add every route. Fixed paths such as `@me` go before the ones with a variable in that place."""
        topics = (applications, users, guilds, responses, channels)
        found = [route for topic in topics for route in topic.list_routes()]
        for route in sorted(found, key=lambda route: route.template.replace("{", "~")):
            app.router.add_route(route.method, PREFIX + route.template, self._make_endpoint(route))
        unknown = Route("*", "/{rest}", _refuse_unknown_route, needs_token=False)
        app.router.add_route("*", "/api/{rest:.*}", self._make_endpoint(unknown))

    def _make_endpoint(self, route: Route) -> Endpoint:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self._serve(route, request)

        return serve

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        started = time.perf_counter()
        path = request.path.removeprefix(PREFIX)
        template = route.template if route.method != "*" else path
        record = RestCall(self._journal.take_number(), self._services.world.clock.now(), request.method, template, path)
        fault = self._faults.match_request(request.method, path)
        if fault is not None and fault.wait_s and fault.kind == "delay":
            await asyncio.sleep(fault.wait_s)
        call = Call(self._services, dict(request.match_info), dict(request.query))
        if fault is not None:
            self._services.interactions.excuse(call.path.get("interaction_id", ""))
        answer, headers = await self._answer(route, request, call, record, fault)
        record.status, record.response = answer.status, answer.json
        record.ms = (time.perf_counter() - started) * 1000
        record.fault = fault.label if fault else None
        self._journal.add(record)
        if fault is None or fault.is_performed:
            self._validator.add(record)
        if fault is not None and fault.kind == "drop":
            return _hang_up(request)
        if fault is not None and fault.page is not None:
            kind = "application/json" if fault.page.startswith("{") else "text/html"
            return web.Response(status=fault.status, body=fault.page.encode(), headers={"Content-Type": kind})
        return _build_response(answer, headers)

    async def _answer(
        self, route: Route, request: web.Request, call: Call, record: RestCall, fault: Fault | None
    ) -> tuple[RestResponse, dict[str, str]]:
        if fault is not None and not fault.is_performed:
            return _build_fault_response(fault)
        verdict = self._limits.count(record.where, _build_bucket_key(call))
        record.rate_limit = verdict.headers
        if verdict.retry_after_s:
            return _build_rate_limit_response(verdict.retry_after_s, is_global=False, headers=verdict.headers)
        answer = await self._perform(route, request, call, record)
        if fault is not None and fault.kind == "error":
            return _build_fault_response(fault)
        return answer, verdict.headers

    async def _perform(self, route: Route, request: web.Request, call: Call, record: RestCall) -> RestResponse:
        try:
            await _read(request, call)
            record.request, record.num_files = call.json, len(call.uploads)
            if route.needs_token and not self._is_the_bot(request):
                raise UnauthorizedError()
            return route.handler(call)
        except DiscordError as error:
            record.code = error.code
            if error.is_fault:
                self._journal.blame(Violation("rules", "request", record.where, str(error)), record)
            return RestResponse(error.status, error.build_payload())

    def _is_the_bot(self, request: web.Request) -> bool:
        expected = f"Bot {self._services.world.application.token}"
        return request.headers.get("Authorization") == expected


def _refuse_unknown_route(call: Call) -> RestResponse:
    raise UnknownRouteError()


async def _read(request: web.Request, call: Call) -> None:
    if (request.content_length or 0) > MAX_REQUEST + _OVERHEAD:
        raise RequestTooLargeError()
    kind = request.content_type
    if kind == "multipart/form-data":
        await _read_multipart(request, call)
    elif request.can_read_body:
        text = await request.read()
        call.json = _parse(text) if text else None


async def _read_multipart(request: web.Request, call: Call) -> None:
    total = 0
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        data = bytes(await part.read(decode=True))
        total += len(data)
        if total > MAX_REQUEST + _OVERHEAD:
            raise RequestTooLargeError()
        if part.name == "payload_json":
            call.json = _parse(data)
        elif part.name and (found := _FILE_PART.fullmatch(part.name)):
            kind = part.headers.get("Content-Type")
            known = kind if kind and kind != "application/octet-stream" else None
            call.uploads[int(found[1])] = Upload(part.filename or "unknown", data, known)


def _parse(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise InvalidJsonError() from None


def _build_bucket_key(call: Call) -> str:
    names = ("channel_id", "guild_id", "webhook_id", "webhook_token", "interaction_token")
    return ":".join(call.path[name] for name in names if name in call.path)


def _build_fault_response(fault: Fault) -> tuple[RestResponse, dict[str, str]]:
    if fault.kind == "rate_limit":
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset-After": f"{fault.wait_s:.3f}"}
        return _build_rate_limit_response(fault.wait_s, is_global=fault.is_global, headers=headers)
    if fault.refusal is not None:
        return _build_refusal_response(fault.refusal, fault.wait_s)
    status = fault.status or 503
    return RestResponse(status, {"message": f"{status}: {PHRASES.get(status, 'Unknown Error')}", "code": 0}), {}


def _build_refusal_response(refusal: DiscordError, wait_s: float) -> tuple[RestResponse, dict[str, str]]:
    if refusal.status != 429:
        return RestResponse(refusal.status, refusal.build_payload()), {}
    answer, headers = _build_rate_limit_response(wait_s, is_global=False, headers={})
    return RestResponse(429, answer.json | refusal.build_payload()), headers


def _build_rate_limit_response(
    wait_s: float, *, is_global: bool, headers: dict[str, str]
) -> tuple[RestResponse, dict[str, str]]:
    body = {"message": "You are being rate limited.", "code": 0, "retry_after": round(wait_s, 3)}
    body["global"] = is_global
    scope = "global" if is_global else "user"
    extra = {"Retry-After": str(max(1, round(wait_s))), "X-RateLimit-Scope": scope, "Via": "1.1 sandbox"}
    if is_global:
        extra["X-RateLimit-Global"] = "true"
    return RestResponse(429, body), headers | extra


def _build_response(answer: RestResponse, headers: dict[str, str]) -> web.Response:
    if answer.json is None:
        return web.Response(status=answer.status, headers=headers)
    # Exactly this content type: with a charset after it discord.py does not read the body as JSON.
    body = json.dumps(answer.json, separators=(",", ":")).encode()
    return web.Response(status=answer.status, body=body, headers=headers | {"Content-Type": "application/json"})


def _hang_up(request: web.Request) -> web.Response:
    """Close the connection without an answer; what was asked may have been done."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


__all__ = ["PREFIX", "Handler", "RestServer"]
