"""Refuses requests that another web page or host name could have caused.

A page elsewhere can make a browser ask 127.0.0.1, and a hostile name can be made to resolve to it (DNS
rebinding); both show in the Host and Origin headers.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_local_host(host: str) -> bool:
    """Return whether a Host header (with or without port) names this machine's loopback."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def refuse_foreign_requests(names: frozenset[str] = frozenset()) -> Middleware:
    """Return a middleware that refuses a foreign Host or Origin; `names` are accepted beside loopback."""

    @web.middleware
    async def keep_out(request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        if not is_local_host(host) and host.partition(":")[0] not in names:
            raise web.HTTPForbidden(text="This Discord answers only to its own loopback address.")
        if origin is not None and urlsplit(origin).netloc != host:
            raise web.HTTPForbidden(text="This Discord does not take requests from other pages.")
        response = await handler(request)
        if not response.prepared:
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
            response.headers.setdefault("Referrer-Policy", "no-referrer")
        return response

    return keep_out
