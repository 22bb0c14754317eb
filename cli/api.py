"""Opens the API beside the bot, or alone. Loads its packages only here: they are an extra."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import errno
import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from cli.logging_setup import list_recent_errors
from config import Settings
from generation.admission.errors import MembersUnknownError
from generation.errors import ConfigurationError
from generation.owner import Owner

if TYPE_CHECKING:
    from api.context import FetchRoles, SharedRooms
    from api.web.settings import NameServers, ReviewDesk, WebSettings

LOCAL = Owner(guild_id=0, user_id=0)
"""The tenant of keys that are made at the shell: the operator."""
DEFAULT_PORT = 8791
_EXTRA = ("fastapi", "uvicorn", "jinja2", "python_multipart")


def has_packages() -> bool:
    """Return whether the extra `api` is installed."""
    return all(find_spec(each) is not None for each in _EXTRA)


def require_servable(settings: Settings) -> None:
    """Raise `ConfigurationError` unless the API could be served: its packages are here, its address is safe."""
    if not has_packages():
        raise ConfigurationError(
            problem="The packages of the API are not installed.", remedy="Run: pip install 'atelier-bot[api]'"
        )
    if not ipaddress.ip_address(settings.api_host).is_loopback and not settings.api_tls:
        raise ConfigurationError(
            problem=f"ATELIER_API_HOST={settings.api_host} is open to others, and keys would travel unsealed.",
            remedy="Put a proxy with TLS before it and set ATELIER_API_TLS=true, or leave it at 127.0.0.1.",
        )


@asynccontextmanager
async def open_api(
    settings: Settings,
    rooms: SharedRooms,
    fetch_roles: FetchRoles | None = None,
    name_servers: NameServers = dict,
    desk: ReviewDesk | None = None,
) -> AsyncIterator[int]:
    """Serve the API while the context lasts; yield its port. Raise `ConfigurationError`."""
    require_servable(settings)
    await asyncio.to_thread(_load_packages)
    from api.app import build_app
    from api.context import ApiContext
    from api.server import serve_api

    web = replace(build_web_settings(settings, name_servers), desk=desk) if settings.web_url else None
    app = build_app(ApiContext(rooms=rooms, fetch_roles=fetch_roles or _ask_no_one, web=web))
    with bind(settings.api_host, settings.api_port) as bound:
        async with serve_api(app, bound) as port:
            yield port


def _load_packages() -> None:
    """Import what serves, which takes seconds where Python compiles it first: the loop turns meanwhile."""
    import api.app
    import api.server  # noqa: F401


@asynccontextmanager
async def open_api_if_wanted(
    settings: Settings, rooms: SharedRooms, fetch_roles: FetchRoles, name_servers: NameServers, desk: ReviewDesk
) -> AsyncIterator[None]:
    """Serve the API while the context lasts, where a port is set."""
    if not settings.api_port:
        yield
        return
    async with open_api(settings, rooms, fetch_roles, name_servers, desk):
        yield


def build_web_settings(settings: Settings, name_servers: NameServers) -> WebSettings:
    """Return what the pages need. Raise `ConfigurationError`."""
    from api.web.settings import WebSettings

    if settings.web_client_secret is None:
        raise ConfigurationError(
            problem="ATELIER_WEB_URL is set, and the pages cannot sign anyone in without ATELIER_WEB_CLIENT_SECRET.",
            remedy="Copy the client secret from the page OAuth2 of your application at Discord, and enter "
            f"{settings.web_url}/sign-in/done there as a redirect.",
        )
    found = WebSettings(
        url=settings.web_url,
        client_id=settings.web_client_id or _read_client_id(settings),
        client_secret=settings.web_client_secret.get_secret_value(),
        owner_ids=frozenset(settings.owners),
        name_servers=name_servers,
        list_errors=list_recent_errors,
    )
    if not settings.discord_url:
        return found
    base = settings.discord_url.rstrip("/")
    return replace(found, authorize_url=f"{base}/oauth2/authorize", discord_api_url=f"{base}/api/v10")


def _read_client_id(settings: Settings) -> str:
    """Return the id of the application, which is the first part of its bot's token. Raise `ConfigurationError`."""
    token = settings.discord_token.get_secret_value() if settings.discord_token is not None else ""
    head = token.partition(".")[0]
    try:
        found = base64.b64decode(head + "=" * (-len(head) % 4)).decode("ascii")
    except ValueError:
        found = ""
    if not found.isdigit():
        raise ConfigurationError(
            problem="The pages do not know the id of the application.", remedy="Set ATELIER_WEB_CLIENT_ID."
        )
    return found


async def _ask_no_one(owner: Owner) -> Sequence[int] | None:
    raise MembersUnknownError


def bind(host: str, port: int) -> contextlib.closing[socket.socket]:
    """Return a socket bound there. Raise `ConfigurationError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        taken = "is in use, perhaps by another Atelier" if error.errno == errno.EADDRINUSE else "cannot be opened"
        raise ConfigurationError(
            problem=f"Port {port} of {host} {taken}.", remedy="Set ATELIER_API_PORT to another."
        ) from None
    return contextlib.closing(bound)


async def wait_until(stop: asyncio.Event, running: asyncio.Task[None]) -> None:
    """Return when told to stop; raise what ended the service."""
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait((stopped, running), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if running in done:
        running.result()
