"""One proxy for every client, tested with a real proxy."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch
from urllib.request import getproxies

import aiohttp
import discord
import pytest
from huggingface_hub import HfApi, close_session
from yarl import URL

from cli import network
from cli.logging_setup import Redacting
from cli.network import ProxyConnector, named, proxy_for, settle_proxy
from cogs.common.attachments import fetch_attachment
from cogs.common.forms import Attached
from cogs.connection import keep_connected
from cogs.member_roles import MemberRoles
from generation.errors import ConfigurationError, InvalidRequestError


@pytest.fixture(autouse=True)
def no_proxy_around_us() -> Iterator[None]:
    others = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    with patch.dict(os.environ, others, clear=True):
        yield


@pytest.fixture(autouse=True)
def the_real_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests of this process may have pointed discord.py at a Discord of their own."""
    monkeypatch.setattr(discord.http.Route, "BASE", "https://discord.com/api/v10")
    monkeypatch.setattr(discord.Asset, "BASE", "https://cdn.discordapp.com")


class Proxy:
    """Refuses every CONNECT and answers everything else itself."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.headers: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        self.asked.append(head[0])
        self.headers += head[1:]
        status = "502 Bad Gateway" if head[0].startswith("CONNECT") else "200 OK"
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi".encode())
        await writer.drain()
        writer.close()


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    it = Proxy()
    async with await asyncio.start_server(it.answer, "127.0.0.1", 0) as server:
        it.port = server.sockets[0].getsockname()[1]
        yield it


async def _rest(session: aiohttp.ClientSession) -> Any:
    return await session.get("https://discord.com/api/v10/gateway")


async def _gateway(session: aiohttp.ClientSession) -> Any:
    return await session.ws_connect("wss://gateway.discord.gg/?v=10")


async def _upload(session: aiohttp.ClientSession) -> Any:
    file = Attached(f"{discord.Asset.BASE}/attachments/1/2/a.png", 10, "a.png", None)
    return await fetch_attachment(file, session.connector)


@pytest.mark.parametrize(
    ("ask", "host"),
    [(_rest, "discord.com"), (_gateway, "gateway.discord.gg"), (_upload, "cdn.discordapp.com")],
    ids=["rest", "gateway", "uploads"],
)
@pytest.mark.parametrize("how", ["setting", "HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_every_client_goes_through_the_proxy(
    ask: Callable[[aiohttp.ClientSession], Awaitable[Any]], host: str, how: str
) -> None:
    async with proxy() as it:
        address = f"http://127.0.0.1:{it.port}"
        if how != "setting":
            os.environ[how] = address
        settle_proxy(address if how == "setting" else None)
        async with aiohttp.ClientSession(connector=ProxyConnector()) as session:
            with pytest.raises((aiohttp.ClientHttpProxyError, InvalidRequestError)):
                await ask(session)
        assert it.asked == [f"CONNECT {host}:443 HTTP/1.1"]


async def test_the_variables_are_read_once_for_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    num_reads = 0

    def read() -> dict[str, str]:
        nonlocal num_reads
        num_reads += 1
        return getproxies()

    monkeypatch.setattr(network, "getproxies", read)
    async with proxy() as it:
        settle_proxy(f"http://127.0.0.1:{it.port}")
        async with aiohttp.ClientSession(connector=ProxyConnector()) as session:
            for _ in range(2):
                with pytest.raises(aiohttp.ClientHttpProxyError):
                    await _rest(session)
        assert len(it.asked) == 2
    assert num_reads == 1


async def test_the_client_of_discord_goes_through_it() -> None:
    """Unchanged discord.py, and nothing but its connector is ours."""
    lost = asyncio.Event()
    async with proxy() as it:
        settle_proxy(f"127.0.0.1:{it.port}")  # without a scheme, as curl takes it
        # No login gets as far as needing more.
        services: Any = SimpleNamespace(allows_user_installs=False, member_roles=MemberRoles())
        keeping = asyncio.create_task(
            keep_connected(services, "a.b.c", report=lambda _: lost.set(), connector=ProxyConnector)
        )
        waiting = asyncio.create_task(lost.wait())
        await asyncio.wait((waiting, keeping), return_when=asyncio.FIRST_COMPLETED)
        assert waiting.done(), keeping.result()
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping
        assert set(it.asked) == {"CONNECT discord.com:443 HTTP/1.1"}


async def test_the_hub_goes_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    async with proxy() as it:
        settle_proxy(f"http://127.0.0.1:{it.port}")
        close_session()
        with pytest.raises(Exception, match="502"):
            await asyncio.to_thread(HfApi(endpoint="https://huggingface.co").model_info, "a/b", timeout=60)
        close_session()
        assert it.asked and set(it.asked) == {"CONNECT huggingface.co:443 HTTP/1.1"}


async def test_its_name_and_password_are_sent_and_never_logged() -> None:
    async with proxy() as it:
        address = f"http://me:pass%40word@127.0.0.1:{it.port}"
        secrets = settle_proxy(address)
        async with aiohttp.ClientSession(connector=ProxyConnector()) as session:
            async with session.get("http://example.org/x") as answer:
                assert await answer.text() == "hi"
            with pytest.raises(aiohttp.ClientHttpProxyError) as failed:
                await _rest(session)
        assert it.asked == ["GET http://example.org/x HTTP/1.1", "CONNECT discord.com:443 HTTP/1.1"]
        assert it.headers.count("Proxy-Authorization: Basic bWU6cGFzc0B3b3Jk") == 2
        line = f"{address} pass@word Basic bWU6cGFzc0B3b3Jk {failed.value!r} {failed.value}"
        record = logging.LogRecord("x", logging.INFO, "", 0, line, None, None)
        said = Redacting(*secrets).format(record)
        assert "pass" not in said.replace("pass" + "ed", "") and "bWU6" not in said
        assert named(URL(address)) == f"127.0.0.1:{it.port}"


@pytest.mark.parametrize(
    ("no_proxy", "address", "is_proxied"),
    [
        ("", "https://discord.com/", True),
        ("discord.com", "https://discord.com/", False),
        (".discord.com,example.org", "https://cdn.discord.com/", False),
        ("discord.com", "wss://gateway.discord.gg/", True),
        ("gateway.discord.gg:443", "wss://gateway.discord.gg/", False),
        ("*", "https://discord.com/", False),
        ("", "http://127.0.0.1:8080/api", False),
        ("", "ws://127.8.9.1:8080/gateway", False),
        ("", "http://[::1]:8080/", False),
        ("", "http://localhost:8080/", False),
    ],
)
def test_hosts_reached_without_a_proxy(no_proxy: str, address: str, is_proxied: bool) -> None:
    os.environ["NO_PROXY"] = no_proxy
    settle_proxy("http://proxy.example.org:3128")
    assert (proxy_for(URL(address)) is not None) == is_proxied


def test_the_setting_goes_before_the_variables_and_all_say_the_same() -> None:
    os.environ |= {"HTTPS_PROXY": "http://one:1", "http_proxy": "http://two:2", "ALL_PROXY": "socks5://three:3"}
    settle_proxy("http://four:4")
    named_there = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    assert {value for name, value in named_there.items() if name.lower() != "no_proxy"} == {"http://four:4"}
    assert not {"all_proxy", "ALL_PROXY"} & set(named_there), "the hub's client would stumble over SOCKS there"


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("socks5://user:geheim@proxy:1080", "SOCKS"),
        ("socks5h://proxy:1080", "SOCKS"),
        ("ftp://proxy:21", "neither http:// nor https://"),
        ("http://", "not an address"),
        ("http://proxy:port", "not an address"),
        ("http://proxy:99999", "not an address"),
        ("http://pro xy:1", "not an address"),
    ],
)
@pytest.mark.parametrize("how", ["setting", "HTTPS_PROXY", "ALL_PROXY"])
def test_a_proxy_that_cannot_be_used_is_one_sentence(proxy: str, says: str, how: str) -> None:
    if how != "setting":
        os.environ[how] = proxy
    with pytest.raises(ConfigurationError, match=says) as refused:
        settle_proxy(proxy if how == "setting" else None)
    assert "geheim" not in str(refused.value)
    assert ("ATELIER_PROXY" if how == "setting" else "HTTPS_PROXY") in str(refused.value)


def test_without_one_nothing_is_set() -> None:
    before = dict(os.environ)
    assert settle_proxy(None) == ()
    assert dict(os.environ) == before
