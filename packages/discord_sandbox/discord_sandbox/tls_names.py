"""Discord's own names: `https://discord.com`, its gateway and its CDN, answered on loopback with a test's certificate.

A bot then needs no setting at all: only its resolver and its trust are the test's. The sandbox still listens on
127.0.0.1 only; the bot's connector must lead these names there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.typedefs import Middleware

API, GATEWAY, CDN = "discord.com", "gateway.discord.gg", "cdn.discordapp.com"
NAMES = frozenset({API, GATEWAY, CDN})

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def route_gateway_name(gateway: Handler) -> Middleware:
    """Return a middleware for the gateway's name, on which every path is the gateway."""

    @web.middleware
    async def by_name(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_gateway = request.host.partition(":")[0] == GATEWAY
        return await (gateway if is_gateway else handler)(request)

    return by_name
