"""Attachments come from Discord's own CDN, without redirects, and never exceed the limit, whatever size is claimed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from types import SimpleNamespace
from typing import Any

import discord
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from cogs.common.attachments import fetch_attachment, is_on_discord, open_attachment
from cogs.common.errors import FileNotFetchedError, FileNotOnDiscordError
from generation.errors import FileTooLargeError, InvalidRequestError, TooManyFilesError
from generation.fair_turns import FairTurns
from generation.images.codec import MAX_UPLOAD_BYTES
from generation.policy.rate_limit import FILES_PER_MINUTE, make_file_rate_limiter


@pytest.fixture
async def cdn(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Start a hostile CDN on loopback; return its address."""

    async def large(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(MAX_UPLOAD_BYTES // 2**20 + 1):
            await answer.write(bytes(2**20))
        return answer

    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("http://127.0.0.1:1/secret")

    async def picture(request: web.Request) -> web.Response:
        return web.Response(body=b"a picture")

    app = web.Application()
    app.router.add_get("/large", large)
    app.router.add_get("/elsewhere", elsewhere)
    app.router.add_get("/picture", picture)
    server = TestServer(app)
    await server.start_server()
    base = str(server.make_url("")).rstrip("/")
    monkeypatch.setattr(discord.Asset, "BASE", base)
    yield base
    await server.close()


def attached(url: str, *, size: int = 9) -> discord.Attachment:
    data: Any = {"id": 1, "size": size, "filename": "a.png", "url": url, "proxy_url": url}
    return discord.Attachment(data=data, state=SimpleNamespace(http=None))  # type: ignore[arg-type]


async def test_a_file_on_the_cdn_is_fetched(cdn: str) -> None:
    assert await fetch_attachment(attached(f"{cdn}/picture"), None) == b"a picture"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://cdn.discordapp.com.evil.example/a.png",
        "https://cdn.discordapp.com@evil.example/a.png",
    ],
)
async def test_46_any_other_address_is_not_even_asked(url: str) -> None:
    with pytest.raises(FileNotOnDiscordError):
        await fetch_attachment(attached(url), None)


@pytest.mark.parametrize(
    ("path", "size", "kind"),
    [
        ("large", 9, FileTooLargeError),
        ("large", MAX_UPLOAD_BYTES + 1, FileTooLargeError),
        ("elsewhere", 9, FileNotFetchedError),
        ("nothing", 9, FileNotFetchedError),
    ],
)
async def test_oversized_foreign_and_missing_files_are_refused(
    cdn: str, path: str, size: int, kind: type[InvalidRequestError]
) -> None:
    with pytest.raises(kind):
        await fetch_attachment(attached(f"{cdn}/{path}", size=size), None)


async def test_a_few_files_at_a_time_are_in_memory(cdn: str) -> None:
    assert await most_in_hand(cdn, guilds=range(20)) == 3
    assert await most_in_hand(cdn, guilds=[1] * 8) == 2, "of one server"


async def most_in_hand(cdn: str, guilds: Iterable[int]) -> int:
    """Fetch a file for each of these; return how many were in memory at most, until the next one came."""
    services, in_hand, most, go_on = files_of_members(), 0, 0, asyncio.Event()

    async def decode(guild_id: int) -> None:
        nonlocal in_hand, most
        async with open_attachment(by(services, guild_id, 1), attached(f"{cdn}/picture")) as data:
            assert data == b"a picture"
            in_hand, most = in_hand + 1, max(most, in_hand + 1)
            await go_on.wait()
            in_hand -= 1

    decoding = asyncio.gather(*(decode(guild_id) for guild_id in guilds))
    for guild_id in range(5):
        async with open_attachment(by(files_of_members(), guild_id, 1), attached(f"{cdn}/picture")):
            pass
    go_on.set()
    await decoding
    return most


async def test_so_many_files_a_minute_of_one_member_in_all_servers(cdn: str) -> None:
    services = files_of_members()

    async def decode(guild_id: int, user_id: int) -> None:
        async with open_attachment(by(services, guild_id, user_id), attached(f"{cdn}/picture")):
            pass

    for number in range(FILES_PER_MINUTE):
        await decode(number % 3, 1)
    with pytest.raises(TooManyFilesError, match=f"at most {FILES_PER_MINUTE} files"):
        await decode(9, 1)
    await decode(1, 2)
    services.now_s += 61
    await decode(1, 1)


def files_of_members() -> SimpleNamespace:
    services = SimpleNamespace(files_in_hand=FairTurns(3, of_guild=2, of_member=2), now_s=0.0)
    services.file_rates = make_file_rate_limiter(lambda: services.now_s)
    return services


def by(services: SimpleNamespace, guild_id: int, user_id: int) -> Any:
    client = SimpleNamespace(services=services, connector=None)
    user = SimpleNamespace(id=user_id)
    return SimpleNamespace(client=client, guild_id=guild_id, user=user, is_guild_integration=lambda: True)


@pytest.mark.parametrize(
    ("url", "is_on"),
    [
        ("https://cdn.discordapp.com/attachments/1/2/a.png", True),
        ("https://media.discordapp.net/attachments/1/2/a.png?width=9", True),
        ("https://images-ext-1.discordapp.net/external/x/https/example.com/a.png", True),
        ("https://media.discordapp.net.evil.example/a.png", False),
        ("https://media.discordapp.net@evil.example/a.png", False),
        ("http://media.discordapp.net/a.png", False),
        ("https://example.com/a.png", False),
    ],
)
def test_only_discords_own_hosts_hold_files(url: str, is_on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord.Asset, "BASE", "https://cdn.discordapp.com")
    assert is_on_discord(url) is is_on


def test_a_trial_has_no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discord.Asset, "BASE", "http://127.0.0.1:1/cdn")
    assert not is_on_discord("https://media.discordapp.net/attachments/1/2/a.png")
