"""Serves the page that acts as the Discord client: static files, uploads and the tab's websocket."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from aiohttp import web

from discord_sandbox.localization import LOCALES
from discord_sandbox.message_content import Upload
from discord_sandbox.oauth2 import PLAYED
from discord_sandbox.page_socket import Tab
from discord_sandbox.page_view import is_playable
from discord_sandbox.tab_context import TabContext
from discord_sandbox.users import User
from discord_sandbox.world import World

_FOLDER = Path(__file__).parent / "page"
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
MAX_UPLOAD = 26 * 1024 * 1024

# Nothing may be loaded from elsewhere, whatever a bot's message says.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class PageServer:
    """The page at `/`."""

    def __init__(self, context: TabContext) -> None:
        self._context = context

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/", self._serve_index)
        app.router.add_get("/page/socket", self._serve_tab)
        app.router.add_post("/page/files", self._receive_upload)
        app.router.add_get("/page/{name}", self._serve_static)
        app.on_shutdown.append(self._close)

    async def _close(self, app: web.Application) -> None:
        await self._context.load_generator.close()

    async def _serve_index(self, request: web.Request) -> web.Response:
        return _serve_file("index.html")

    async def _serve_static(self, request: web.Request) -> web.Response:
        return _serve_file(request.match_info["name"])

    async def _serve_tab(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=30)
        user = find_person(self._context.world, request.query.get("as", ""))
        if user is not None:
            socket.set_cookie(PLAYED, str(user.id), httponly=True, samesite="Lax")
        await socket.prepare(request)
        if user is None:
            await socket.close(code=4404, message=b"there is no user")
            return socket
        if (locale := request.query.get("locale")) in LOCALES:
            user.locale = locale
        await Tab(self._context, socket, user).run()
        return socket

    async def _receive_upload(self, request: web.Request) -> web.Response:
        data = await request.content.read(-1) if (request.content_length or 0) <= MAX_UPLOAD else None
        if data is None:
            raise web.HTTPRequestEntityTooLarge(MAX_UPLOAD, request.content_length or 0)
        name = unquote(request.headers.get("X-Filename", "")) or "file"
        kind = request.headers.get("Content-Type")
        return web.json_response({"file": self._context.keep_upload(Upload(name, data, kind))})


def find_person(world: World, name: str) -> User | None:
    """Return the user of that id or name; without one, a user who owns no guild."""
    people = [u for u in world.users.values() if is_playable(world, u)]
    for user in people:
        if name in (str(user.id), user.username):
            return user
    owners = {guild.owner_id for guild in world.guilds.values()}
    return next((user for user in people if user.id not in owners), people[0] if people else None)


def _serve_file(name: str) -> web.Response:
    path = _FOLDER / name
    if path.parent != _FOLDER or not path.is_file() or path.suffix not in _TYPES:
        raise web.HTTPNotFound
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return web.Response(body=path.read_bytes(), content_type=_TYPES[path.suffix], charset="utf-8", headers=headers)
