"""The way out: which proxy leads there, the same for every client.

Proxies are named by the usual variables (`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`), which the clients of
the model hub read. `ATELIER_PROXY` is put there in their place. aiohttp reads them too, but not for web sockets: so
`ProxyConnector` asks them, once for each server.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.helpers import strip_auth_from_url
from yarl import URL

from generation.errors import ConfigurationError
from generation.loopback import is_loopback_host

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SCHEMES = {"ws": "http", "wss": "https"}


def settle_proxy(setting: str | None) -> tuple[str, ...]:
    """Let the usual variables name the proxy to use, in one spelling. Return its secrets, which no log may hold.

    `setting` goes before what they say. Raise `ConfigurationError` for a proxy that cannot be used.
    """
    given = {} if setting else {kind: url for kind, url in getproxies().items() if kind in ("http", "https", "all")}
    source = "ATELIER_PROXY" if setting else "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY"
    found = {kind: setting or given.get(kind) or given.get("all") or "" for kind in ("https", "http")}
    usable = {kind: _usable(proxy, source) for kind, proxy in found.items() if proxy.strip()}
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    for kind in ("all", "https", "http"):
        for name in (f"{kind}_proxy", f"{kind}_proxy".upper()):
            os.environ.pop(name, None)
            if kind in usable:
                os.environ[name] = usable[kind]
    if usable and no_proxy.strip() != "*":
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(filter(None, (no_proxy, *_LOCAL)))
    return tuple(secret for proxy in usable.values() for secret in _secrets(proxy))


def _usable(proxy: str, source: str) -> str:
    proxy = proxy.strip() if "://" in proxy else f"http://{proxy.strip()}"
    try:
        parts = urlsplit(proxy)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    remedy = "Use one such as http://proxy.example.org:3128, or leave it out."
    if not is_whole or any(sign.isspace() for sign in proxy):
        raise ConfigurationError(problem=f"The proxy in {source} is not an address.", remedy=remedy)
    if parts.scheme.startswith("socks"):
        problem = f"The proxy in {source} is a SOCKS proxy, which Atelier cannot use."
        raise ConfigurationError(problem=problem, remedy=remedy)
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(problem=f"The proxy in {source} is neither http:// nor https://.", remedy=remedy)
    return proxy


def _secrets(proxy: str) -> Iterator[str]:
    """As it is written, as it is meant, and as it is sent."""
    parts = urlsplit(proxy)
    if parts.password:
        user, password = unquote(parts.username or ""), unquote(parts.password)
        yield from {parts.password, password, base64.b64encode(f"{user}:{password}".encode()).decode()}


def proxy_for(url: URL) -> URL | None:
    """Return the proxy that leads to `url`, None if it is reached without one. This machine always is."""
    host = url.host or ""
    if is_loopback_host(host) or proxy_bypass(f"{host}:{url.port}" if url.port else host):
        return None
    proxy = getproxies().get(_SCHEMES.get(url.scheme, url.scheme))
    return URL(proxy) if proxy else None


def named(proxy: URL) -> str:
    """Return how a proxy is called in a sentence: without its name and password."""
    return f"{proxy.host}:{proxy.port}"


class ProxyConnector(aiohttp.TCPConnector):
    """Connects through the proxy that the variables name: REST, downloads and the gateway's websocket.

    They are read once for each server: to look through the environment takes as long as to build a request.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._proxies: dict[URL, URL | None] = {}

    async def connect(self, req: ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Connection:
        server = req.url.origin()
        if server not in self._proxies:
            self._proxies[server] = proxy_for(server)
        if req.proxy is None and (proxy := self._proxies[server]) is not None:
            req.update_proxy(*strip_auth_from_url(proxy), None)
        return await super().connect(req, traces, timeout)
