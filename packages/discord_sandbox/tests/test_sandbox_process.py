"""The sandbox and the bot as processes, started as a user starts them."""

from __future__ import annotations

import asyncio
import errno
import sys
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from discord_sandbox import Sandbox
from discord_sandbox.launch import run_with_bot

HERE = Path(__file__).parent


async def test_a_bot_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """`run_with_bot` starts it, says when it is ready, and takes it down again, without a word of alarm."""
    monkeypatch.delenv("DISCORD_OPENAPI", raising=False)
    opened: list[Sandbox] = []
    said: list[str] = []

    def environment(server: Sandbox) -> dict[str, str]:
        opened.append(server)
        return {"SAMPLE_DISCORD_URL": server.url, "SAMPLE_TOKEN": server.token}

    command = [sys.executable, "-W", "ignore", str(HERE / "sample_bot.py")]
    is_ready = asyncio.Event()

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("Ready."):
            is_ready.set()

    running = asyncio.create_task(run_with_bot(command, port=0, environment=environment, say=say))
    await asyncio.wait_for(is_ready.wait(), Sandbox.patience_s)
    (server,) = opened
    guild = next(iter(server.world.guilds.values()))
    cleo = next(m for m in guild.members.values() if m.user.username == "cleo")
    reply = await server.act_as(cleo, next(iter(guild.channels.values()))).slash("whisper", text="from afar")
    assert reply.original_message is not None and reply.original_message.content == "from afar"
    running.cancel()
    await asyncio.wait({running}, timeout=Sandbox.patience_s)
    assert running.cancelled() and not server.gateway.is_connected
    assert caplog.text == ""


async def test_a_port_that_may_not_be_opened_is_not_called_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is tried only where another program has the port."""
    tried: list[int] = []

    async def refuse(site: web.TCPSite) -> None:
        tried.append(site._port)
        raise OSError(errno.EADDRINUSE if len(tried) < 3 else errno.EACCES, "as the system says")

    monkeypatch.setattr(web.TCPSite, "start", refuse)
    with pytest.raises(PermissionError):
        await run_with_bot([], port=80, environment=lambda _: {}, say=lambda _: None)
    assert tried == [80, 81, 82]


async def test_the_module_serves_by_itself() -> None:
    """`python -m discord_sandbox` prints where it is and answers there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "discord_sandbox", "--port", "0", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        lines = [(await asyncio.wait_for(process.stdout.readline(), Sandbox.patience_s)).decode() for _ in range(5)]
        address = lines[0].split()[3]
        token = lines[4].split()[2]
        headers = {"Authorization": f"Bot {token}"}
        async with aiohttp.ClientSession() as session:
            async with session.get(address) as page:
                assert "Discord sandbox" in await page.text()
            async with session.get(f"{address}/api/v10/users/@me", headers=headers) as me:
                assert (await me.json())["username"] == "Bot"
    finally:
        process.terminate()
        await process.wait()
