"""Signing in to the bot's own web pages with an account of the sandbox."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from discord_sandbox import Sandbox
from discord_sandbox.page_view import build_world_view

BACK = "http://127.0.0.1:9/sign-in/done"


def _ask(server: Sandbox, **more: str) -> dict[str, str]:
    server.oauth2.redirect_uris.add(BACK)
    about = {"client_id": str(server.application.id), "response_type": "code", "scope": "identify"}
    return about | {"redirect_uri": BACK, "state": "s"} | more


async def _take(server: Sandbox, client: aiohttp.ClientSession, location: str) -> str:
    """Return the name of the account whose code came back."""
    code = parse_qs(urlsplit(location).query)["code"][0]
    form = {"client_id": str(server.application.id), "client_secret": server.oauth2.secret, "code": code}
    form |= {"grant_type": "authorization_code", "redirect_uri": BACK}
    async with client.post(f"{server.api_base}/oauth2/token", data=form) as answer:
        bearer = {"Authorization": f"Bearer {(await answer.json())['access_token']}"}
    async with client.get(f"{server.api_base}/oauth2/@me", headers=bearer) as answer:
        return str((await answer.json())["user"]["username"])


async def test_whoever_has_a_tab_open_is_signed_in_without_a_question() -> None:
    """As Discord asks only those with `prompt=none` who never agreed."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with Sandbox(seed_world=True, openapi="") as server, aiohttp.ClientSession(cookie_jar=jar) as client:
        url = f"{server.url}/oauth2/authorize"
        for who in ("cleo", "ada"):
            async with client.ws_connect(f"{server.url}/page/socket?as={who}") as tab:
                await tab.receive()
            async with client.get(url, params=_ask(server, prompt="none"), allow_redirects=False) as sent:
                assert sent.status == 303 and sent.headers["Location"].startswith(f"{BACK}?state=s&code=")
                assert await _take(server, client, sent.headers["Location"]) == who
        async with client.get(url, params=_ask(server)) as asked:
            page = await asked.text()
            assert "wants to know who you are" in page and "Cleo" in page and "founder" not in page


@pytest.mark.parametrize("said", [None, "7", "x", "-1"])
async def test_another_browser_is_asked(said: str | None) -> None:
    cookies = {} if said is None else {"discord-sandbox-user": said}
    async with Sandbox(seed_world=True, openapi="") as server, aiohttp.ClientSession(cookies=cookies) as client:
        url = f"{server.url}/oauth2/authorize"
        async with client.get(url, params=_ask(server, prompt="none"), cookies=cookies) as asked:
            assert asked.status == 200 and "wants to know who you are" in await asked.text()
        async with client.get(url, params=_ask(server, prompt="none", redirect_uri="http://127.0.0.1:9/")) as asked:
            assert asked.status == 400


async def test_the_page_is_told_of_the_bots_pages_and_first_command() -> None:
    async with Sandbox(seed_world=True, openapi="") as server:
        server.application.web_pages["Gallery"] = "http://127.0.0.1:9/"
        server.application.first_command = "draw"
        you = next(each for each in server.world.users.values() if each.username == "bo")
        seen = build_world_view(server.world, you, is_connected=False)
        assert seen["webPages"] == [{"name": "Gallery", "url": "http://127.0.0.1:9/"}]
        assert seen["firstCommand"] == "draw"
