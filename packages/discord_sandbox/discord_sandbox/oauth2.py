"""OAuth 2.0: a page that asks which account agrees, codes that are good once, and what a token tells of its account.

The code flow with the scope `identify`, as https://discord.com/developers/docs/topics/oauth2 has it.
"""

from __future__ import annotations

import html
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from discord_sandbox.clock import Clock, timestamp
from discord_sandbox.page_view import is_playable
from discord_sandbox.payloads import serialize_application, serialize_user
from discord_sandbox.users import User
from discord_sandbox.world import World

_SHOWN = (
    "id",
    "name",
    "icon",
    "description",
    "type",
    "verify_key",
    "flags",
    "flags_new",
    "bot_public",
    "bot_require_code_grant",
)
PLAYED = "discord-sandbox-user"
"""The cookie that tells who is signed in to Discord in this browser: whose tab was opened last."""
_LASTS = timedelta(days=7)
_CODE_LASTS = timedelta(minutes=1)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sign in</title><link rel="icon" href="data:,">
<style>:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;max-width:24rem;margin:10vh auto;padding:0 1rem}}
h1{{font-size:1.4rem;line-height:1.3}}
button{{font:inherit;display:block;width:100%;margin:.5rem 0;padding:.6rem;cursor:pointer}}
button{{border:1px solid #767676;border-radius:.5rem;background:Field;color:FieldText}}
button:hover{{border-color:#5d60e6}}</style>
<main><h1>{name} wants to know who you are</h1><form method="post">{people}
<button name="user" value="">Cancel</button></form></main></html>"""


@dataclass(frozen=True)
class _Grant:
    """What an account agreed to, until the code is taken."""

    user: User
    redirect_uri: str
    until: float


class OAuth2:
    """Of the one application. A browser is sent only to one of `redirect_uris`."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world, self._clock = world, clock
        self.secret = secrets.token_urlsafe(24)
        """The client secret of the application."""
        self.redirect_uris: set[str] = set()
        self._grants: dict[str, _Grant] = {}
        self._tokens: dict[str, User] = {}

    def add_to(self, app: web.Application) -> None:
        """Add the page and the two calls."""
        app.router.add_get("/oauth2/authorize", self._ask)
        app.router.add_post("/oauth2/authorize", self._agree)
        app.router.add_post("/api/v10/oauth2/token", self._exchange)
        app.router.add_get("/api/v10/oauth2/@me", self._show)

    def _require_known(self, query: Any) -> None:
        fits = query.get("client_id") == str(self._world.application.id) and query.get("response_type") == "code"
        if not fits or query.get("redirect_uri") not in self.redirect_uris or query.get("scope") != "identify":
            raise web.HTTPBadRequest(text="Invalid OAuth2 redirect_uri, client_id, response_type or scope")

    async def _ask(self, request: web.Request) -> web.Response:
        self._require_known(request.query)
        played = self._find_person(request.cookies.get(PLAYED))
        if played is not None and request.query.get("prompt") == "none":  # Discord asks only who never agreed
            raise self._send_back(request, played)
        people = [each for each in self._world.users.values() if is_playable(self._world, each)]
        buttons = [
            f'<button name="user" value="{each.id}">{html.escape(each.display_name)}</button>' for each in people
        ]
        page = _PAGE.format(name=html.escape(self._world.application.name), people="\n".join(buttons))
        # Without a referrer, browsers send forms with the origin “null”, which is refused here.
        return web.Response(text=page, content_type="text/html", headers={"Referrer-Policy": "same-origin"})

    async def _agree(self, request: web.Request) -> web.Response:
        self._require_known(request.query)
        raise self._send_back(request, self._find_person((await request.post()).get("user")))

    def _find_person(self, user_id: Any) -> User | None:
        user = self._world.users.get(int(user_id)) if str(user_id).isdecimal() else None
        return user if user is not None and is_playable(self._world, user) else None

    def _send_back(self, request: web.Request, user: User | None) -> web.HTTPSeeOther:
        """Return the way back to the application, with a code of the account that agreed, if one did."""
        target = request.query["redirect_uri"]
        said = {"error": "access_denied"} if user is None else {"code": self.grant(user, target)}
        answer = {"state": request.query.get("state", ""), **said}
        return web.HTTPSeeOther(f"{target}{'&' if urlsplit(target).query else '?'}{urlencode(answer)}")

    def grant(self, user: User, redirect_uri: str) -> str:
        """Return a code, as if that account had agreed."""
        code = secrets.token_urlsafe(22)
        self._grants[code] = _Grant(user, redirect_uri, self._clock.now() + _CODE_LASTS.total_seconds())
        return code

    async def _exchange(self, request: web.Request) -> web.Response:
        form = await request.post()
        if (form.get("client_id"), form.get("client_secret")) != (str(self._world.application.id), self.secret):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form.get("grant_type") != "authorization_code":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        grant = self._grants.pop(str(form.get("code", "")), None)
        if grant is None or grant.redirect_uri != form.get("redirect_uri") or self._clock.now() > grant.until:
            return web.json_response(
                {"error": "invalid_grant", "error_description": 'Invalid "code" in request.'}, status=400
            )
        token = secrets.token_urlsafe(22)
        self._tokens[token] = grant.user
        body = {"access_token": token, "token_type": "Bearer", "expires_in": int(_LASTS.total_seconds())}
        return web.json_response(body | {"refresh_token": secrets.token_urlsafe(22), "scope": "identify"})

    async def _show(self, request: web.Request) -> web.Response:
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        user = self._tokens.get(token) if kind == "Bearer" else None
        if user is None:
            return web.json_response({"message": "401: Unauthorized", "code": 0}, status=401)
        application = serialize_application(self._world)
        return web.json_response(
            {
                "application": {name: application[name] for name in _SHOWN},
                "scopes": ["identify"],
                "expires": timestamp(self._clock.now() + _LASTS.total_seconds()),
                "user": serialize_user(user),
            }
        )
