"""The CDN: attachments behind signed links, and the avatars of users."""

from __future__ import annotations

import colorsys
import html
import zlib

from aiohttp import web

from discord_sandbox.file_store import FileStore
from discord_sandbox.world import World


class Cdn:
    """Serves files below `prefix`."""

    def __init__(self, world: World, files: FileStore, *, prefix: str) -> None:
        self._prefix = prefix
        self._world = world
        self._files = files

    def add_to(self, app: web.Application) -> None:
        for folder in ("attachments", "ephemeral-attachments"):
            app.router.add_get(f"{self._prefix}/{folder}/{{channel}}/{{id}}/{{filename}}", self._serve_attachment)
        app.router.add_get(self._prefix + "/embed/avatars/{number}.png", self._serve_default_avatar)
        app.router.add_get("/cdn/people/{id}.svg", self._serve_portrait)

    async def _serve_attachment(self, request: web.Request) -> web.Response:
        url = f"{self._files.url}{request.path.removeprefix(self._prefix)}"
        attachment = self._files.open_link(url, dict(request.query))
        if attachment is None:
            raise web.HTTPNotFound(text="This content is no longer available.")
        # Only pictures are shown in place: an uploaded page must never run as ours.
        is_picture = attachment.content_type in ("image/png", "image/jpeg", "image/gif", "image/webp")
        kind = attachment.content_type if is_picture else "application/octet-stream"
        disposition = "inline" if is_picture else "attachment"
        headers = {
            "Content-Type": kind,
            "Content-Disposition": f'{disposition}; filename="{attachment.filename}"',
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, max-age=3600",
        }
        return web.Response(body=attachment.data, headers=headers)

    async def _serve_default_avatar(self, request: web.Request) -> web.Response:
        return _respond_with_svg(
            draw_portrait("?", int(request.match_info["number"]) if request.match_info["number"].isdecimal() else 0)
        )

    async def _serve_portrait(self, request: web.Request) -> web.Response:
        number = request.match_info["id"]
        user = self._world.users.get(int(number)) if number.isdecimal() else None
        if user is None:
            raise web.HTTPNotFound
        return _respond_with_svg(draw_portrait(user.display_name, user.id))


def draw_portrait(name: str, seed: int) -> str:
    """Return a round SVG picture of a user: an initial on a colour that follows from `seed`."""
    hue = zlib.crc32(str(seed).encode()) / 2**32
    top, bottom = (_format_color(hue, 0.55, 0.62), _format_color((hue + 0.08) % 1, 0.6, 0.42))
    initial = html.escape(name[:1].upper() or "?")
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 80 80"><defs>'
        f'<linearGradient id="g" x2="0.6" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset="1" stop-color="{bottom}"/></linearGradient></defs>'
        '<rect width="80" height="80" fill="url(#g)"/>'
        '<text x="40" y="41" fill="#fff" font-family="system-ui,sans-serif" font-size="38" font-weight="600" '
        f'text-anchor="middle" dominant-baseline="central">{initial}</text></svg>'
    )


def _format_color(hue: float, saturation: float, lightness: float) -> str:
    red, green, blue = colorsys.hls_to_rgb(hue, lightness, saturation)
    return f"#{int(red * 255):02x}{int(green * 255):02x}{int(blue * 255):02x}"


def _respond_with_svg(text: str) -> web.Response:
    return web.Response(text=text, content_type="image/svg+xml", headers={"Cache-Control": "max-age=3600"})
