"""Nothing patched: discord.py with its own addresses, led to the sandbox by a resolver and a test's certificate."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from sample_bot import SampleBot, png

from sandbox import Sandbox, Upload
from sandbox.masquerade import NAMES

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with")


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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    key, found = folder / "key.pem", folder / "cert.pem"
    names = ",".join(f"DNS:{name}" for name in sorted(NAMES))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=sandbox", "-addext", f"subjectAltName={names}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(found)], check=True, capture_output=True)
    return found, key


async def test_an_unpatched_discord_py_at_discord_s_own_names(certificate: tuple[Path, Path]) -> None:
    ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.load_cert_chain(*certificate)
    async with Sandbox(tls=ours) as server:
        guild = server.add_guild("Guild")
        ada = server.act_as(guild.add_member("ada"), guild.add_channel("general"))
        theirs = ssl.create_default_context(cafile=str(certificate[0]))
        connector = aiohttp.TCPConnector(resolver=Loopback(server.port), ssl=theirs)
        bot = SampleBot(connector=connector)
        running = asyncio.create_task(bot.start(server.token))
        await server.wait_until_ready()
        reply = await ada.slash("draw", prompt="a fox", base=Upload("base.png", png()))
        await server.wait_for(lambda: reply.original_message and reply.original_message.buttons)
        assert reply.original_message.attachments[0].url.startswith("https://cdn.discordapp.com/attachments/")
        await bot.close()
        with suppress(asyncio.CancelledError):
            await running
    assert not server.violations
