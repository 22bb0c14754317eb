"""Receives the stages of jobs from a bot that traces them, as OpenTelemetry's collector would."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

STAGES = ("accepted", "queued", "painted", "checked", "stored", "posted")
"""In their order. `checked` is the time from the last step to the verdict: decoding and checking."""


class Span(NamedTuple):
    """One stage of one job, or the whole of it (`request`)."""

    trace: bytes
    name: str
    began_ns: int
    ended_ns: int

    @property
    def seconds(self) -> float:
        return (self.ended_ns - self.began_ns) / 1e9


@asynccontextmanager
async def receiving(spans: list[Span]) -> AsyncIterator[dict[str, str]]:
    """Add to `spans` what comes in. Yield the settings of a bot that sends its stages here when it ends."""

    async def take(request: web.Request) -> web.Response:
        sent = ExportTraceServiceRequest.FromString(await request.read())
        for resource in sent.resource_spans:
            for scope in resource.scope_spans:
                spans.extend(
                    Span(each.trace_id, each.name, each.start_time_unix_nano, each.end_time_unix_nano)
                    for each in scope.spans
                )
        return web.Response(body=b"", content_type="application/x-protobuf")

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/traces", take)
    async with TestServer(app) as server:
        yield {"ATELIER_TRACE_ENDPOINT": str(server.make_url("/v1/traces"))}
