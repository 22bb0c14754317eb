"""The same scenarios for each way to connect a bot; in the last one, the bot cannot know where it is."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path

import aiohttp
import discord
import discord.gateway
import discord.http
import pytest
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult
from closed_network import make_certificate, run_shut_in
from sample_bot import SampleBot, running
from scenarios import SCENARIOS

from discord_sandbox import Sandbox, ScriptedUser
from discord_sandbox.tls_names import NAMES


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificate(tmp_path_factory.mktemp("tls"))


class Loopback(AbstractResolver):
    """Leads Discord's names to one port of this machine, and no other name anywhere."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if host not in NAMES:
            raise OSError(f"a bot in a test asked for {host}")
        return [
            ResolveResult(hostname=host, host="127.0.0.1", port=self._port, family=socket.AF_INET, proto=0, flags=0)
        ]

    async def close(self) -> None:
        pass


def act_as_member(server: Sandbox) -> ScriptedUser:
    guild = server.add_guild("Guild")
    return server.act_as(guild.add_member("ada"), guild.add_channel("general"))


async def test_by_three_attributes() -> None:
    async with Sandbox() as server:
        ada = act_as_member(server)
        async with running(server):
            for scenario in SCENARIOS:
                await scenario(server, ada)
    assert not server.violations


@pytest.fixture
def real_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py's own, whatever tests before this one in the same process pointed it at."""
    monkeypatch.setattr(discord.http.Route, "BASE", "https://discord.com/api/v10")
    monkeypatch.setattr(discord.Asset, "BASE", "https://cdn.discordapp.com")
    gateway = yarl.URL("wss://gateway.discord.gg/")
    monkeypatch.setattr(discord.gateway.DiscordWebSocket, "DEFAULT_GATEWAY", gateway)


async def test_by_a_connector_with_tls(certificate: Path, real_addresses: None) -> None:
    """Nothing patched: discord.py's own addresses, led here by a resolver, and a certificate of ours."""
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with Sandbox(tls=ours) as server:
        ada = act_as_member(server)
        theirs = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
        bot = SampleBot(connector=aiohttp.TCPConnector(resolver=Loopback(server.port), ssl=theirs))
        connected = asyncio.create_task(bot.start(server.token))
        await server.wait_until_ready()
        for scenario in SCENARIOS:
            await scenario(server, ada)
        drawn = next(message for message in ada.list_visible_messages() if message.attachments)
        assert drawn.attachments[0].url.startswith("https://cdn.discordapp.com/attachments/")
        await bot.close()
        with suppress(asyncio.CancelledError):
            await connected
    assert not server.violations


async def test_unchanged_where_nothing_but_loopback_exists(certificate: Path) -> None:
    """A process that is told its token and nothing else, in a network namespace of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SAMPLE_")}
    bot = Path(__file__).with_name("sample_bot.py")
    await run_shut_in(bot, token_in="SAMPLE_TOKEN", scenarios="sample", folder=certificate, env=kept)
