"""The pages for orchestrators, monitoring and people: `/livez`, `/readyz`, `/healthz`, `/metrics`.

They show no secret, no server, no member and no prompt, and change nothing. On a loopback address they answer only
requests to a loopback name: a web page in a browser of this machine could else read them under a name of its own.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass

from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from cli.loop_lag import LoopLag, LoopWatchdog
from generation.errors import ConfigurationError, NotNowError
from generation.loopback import is_loopback_host

_log_of_pages = logging.getLogger(__name__)
_log_of_pages.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
"""aiohttp would log a traceback for each request that is no HTTP: a stranger could fill the disk with them."""
MOST_CONNECTIONS = 64
"""Open at once. One more closes the oldest: one who opens many and says nothing shuts no one out."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of Prometheus' text format."""
Facts = Callable[[], dict[str, object]]
"""What the rest of the program says about itself; key `problems` (a list of sentences) decides the status."""


async def _always_ready() -> dict[str, bool]:
    return {}


async def _render_nothing() -> bytes:
    return b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """What the pages show."""

    facts: Facts
    list_readiness: Callable[[], Awaitable[dict[str, bool]]] = _always_ready
    render_metrics: Callable[[], Awaitable[bytes]] = _render_nothing


@asynccontextmanager
async def serve_pages(port: int, pages: Pages, *, host: str = "127.0.0.1") -> AsyncIterator[LoopLag]:
    """Serve the pages while the context lasts, and watch the event loop.

    Port 0 serves nothing but still measures. Raise `ConfigurationError` if the port is taken.
    """
    lag = LoopLag()
    async with AsyncExitStack() as stack:
        watching = asyncio.create_task(lag.watch(), name="loop lag")
        stack.callback(watching.cancel)
        watchdog = stack.enter_context(closing(LoopWatchdog(lag)))
        watchdog.start()
        if port:
            await stack.enter_async_context(_listening(host, port, _build_app(pages, lag, host)))
        yield lag


@asynccontextmanager
async def _listening(host: str, port: int, app: web.Application) -> AsyncIterator[None]:
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=30, logger=_log_of_pages)
    await runner.setup()
    try:
        assert runner.server is not None
        factory = _limit_connections(runner.server)
        server = await asyncio.get_running_loop().create_server(factory, host, port)
    except OSError as error:
        await runner.cleanup()
        raise _refuse_port(host, port, error) from None
    try:
        yield
    finally:
        server.close()
        await runner.cleanup()


def _limit_connections(server: web.Server) -> Callable[[], asyncio.Protocol]:
    """Return what makes the protocol of a new connection, and closes the oldest where there are too many."""

    def make() -> asyncio.Protocol:
        going = [each for each in server.connections if each.transport is not None]
        for each in going[: max(0, len(going) - MOST_CONNECTIONS + 1)]:
            each.force_close()
        return server()

    return make


def _build_app(pages: Pages, lag: LoopLag, host: str) -> web.Application:
    async def livez(request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(request: web.Request) -> web.Response:
        ready = await pages.list_readiness()
        return web.json_response(ready, status=200 if all(ready.values()) else 503)

    async def healthz(request: web.Request) -> web.Response:
        body = pages.facts() | {"loop_lag_p99_ms": round(lag.p99_ms(), 1), "tasks": len(asyncio.all_tasks())}
        return web.json_response(body, status=503 if body.get("problems") else 200)

    async def metrics(request: web.Request) -> web.Response:
        return web.Response(body=await pages.render_metrics(), headers={hdrs.CONTENT_TYPE: CONTENT_TYPE})

    app = web.Application(middlewares=[_require_own_name] if is_loopback_host(host) else [], client_max_size=1024)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", metrics)
    app.on_response_prepare.append(_add_headers)
    return app


@web.middleware
async def _require_own_name(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request to another name than a loopback one."""
    if not is_loopback_host(_split_host(request.headers.get(hdrs.HOST, ""))):
        return web.Response(status=421, text="This page answers requests to 127.0.0.1 and localhost only.\n")
    return await handler(request)


def _split_host(host: str) -> str:
    """Return a Host header without its port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(
        {hdrs.SERVER: "Atelier", hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}
    )


def require_port(host: str, port: int) -> None:
    """Raise `ConfigurationError` unless the pages can be served there: open the port, and let go of it at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            if os.name == "posix":  # as asyncio does; elsewhere it would share a port that is in use
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
            trial.listen()
    except OSError as error:
        raise _refuse_port(host, port, error) from None


def _refuse_port(host: str, port: int, error: OSError) -> ConfigurationError:
    if error.errno == errno.EADDRINUSE:
        problem = f"Port {port} of this machine is in use, perhaps by another Atelier."
        return NotNowError(problem=problem, remedy="Stop that one, or set ATELIER_HEALTH_PORT.")
    if error.errno in (errno.EACCES, errno.EPERM):
        problem = f"Port {port} is kept for the system, and this user may not open it."
        return ConfigurationError(problem=problem, remedy="Set ATELIER_HEALTH_PORT to another from 1024 on.")
    problem = f"Port {port} cannot be opened on {host} ({os.strerror(error.errno or 0)})."
    remedy = "Check the network of this machine and ATELIER_HTTP_HOST, or set ATELIER_HEALTH_PORT=0."
    return ConfigurationError(problem=problem, remedy=remedy)


def describe_pages(host: str, port: int, *, is_free: bool) -> str:
    """Return where the pages are and who can read them. Raise `ConfigurationError` if the port should be free and is
    not."""
    if not port:
        return "/healthz is switched off"
    if is_free:
        require_port(host, port)
    page = f"{format_address(host, port)}/healthz"
    seen = f"; anyone who reaches this machine on {host} can read it (docs/monitoring.md says what)"
    return page if is_loopback_host(host) else page + seen


def format_address(host: str, port: int) -> str:
    """Return the address of the pages, as one that this machine can open."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"
