"""The unchanged program, with the built-in model, in its own process: killed with work in hand, and started again."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from PIL import Image

from cogs.command_sync import NOT_TAKEN_YET
from cogs.results._messages import IDENTICAL
from discord_sandbox import Sandbox, Upload
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bot_harness import People, job_id_in, until_done, until_shown

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a red circle on a blue background"


@asynccontextmanager
async def serving(
    discord: Sandbox, data_dir: Path, log: Path, *, health_port: int = 0, **more: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python bot.py serve`, connected when the context begins."""
    environment = os.environ | {
        "ATELIER_DATA_DIR": str(data_dir),
        "ATELIER_DISCORD_URL": discord.url,
        "ATELIER_DISCORD_TOKEN": discord.token,
        "ATELIER_HEALTH_PORT": str(health_port),
        "ATELIER_NUM_THREADS": "2",
        **more,
    }
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(ROOT / "bot.py"), "serve", env=environment, stderr=sink, cwd=data_dir
        )
    try:
        await discord.wait_for(lambda: discord.gateway.is_connected)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _receive(manager: socket.socket) -> str:
    """Return what the bot told the service manager next, "" if nothing more."""
    try:
        return manager.recv(1000).decode()
    except BlockingIOError:
        return ""


async def test_killed_with_jobs_in_hand_it_delivers_each_once(discord: Sandbox, people: People, tmp_path: Path) -> None:
    log = tmp_path / "log"
    async with serving(discord, tmp_path, log) as process:
        asked = [await people.ada.slash("imagine", prompt=PROMPT, seed=n, steps=30, count=2) for n in (7, 70)]
        for each in asked:
            await until_shown(discord, each)
        process.kill()
        await process.wait()
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    async with serving(discord, tmp_path, log, NOTIFY_SOCKET=str(tmp_path / "notify")) as process:
        messages = [await until_done(discord, each) for each in asked]
        assert [len(message.attachments) for message in messages] == [2, 2]
        assert len(people.general.messages_ever) == 2
        picture = Image.open(io.BytesIO(messages[0].attachments[0].data))
        assert picture.size == (128, 128)
        again = await people.bo.slash("reproduce", picture=f"{job_id_in(messages[0])}-1")
        assert is_said(IDENTICAL, (await until_done(discord, again)).text)
        start = Upload("start.png", messages[0].attachments[0].data)
        painted_over = await people.bo.slash("imagine", prompt="a green square", image=start, steps=8)
        assert (await until_done(discord, painted_over)).attachments
        process.terminate()
        assert await process.wait() == 0
    with manager:
        manager.setblocking(False)
        told = list(iter(lambda: _receive(manager), ""))
    assert told.index("READY=1") < told.index("STATUS=Discord: connected") < told.index("STOPPING=1")
    said = log.read_text()
    assert discord.token not in said
    assert PROMPT not in said, "prompts are nobody's business but the asker's"
    assert not [each.token for each in asked if each.token in said]


async def until_health(port: int, says: Callable[[str], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                if says(await answer.text()):
                    return
            await asyncio.sleep(0.1)


@pytest.mark.long
async def test_health_names_commands_that_are_not_registered_until_they_are(
    discord: Sandbox, people: People, tmp_path: Path
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    discord.faults.fail("/applications/*/commands", times=10_000, status=403)  # discord.py does not try that again
    async with serving(discord, tmp_path, tmp_path / "log", health_port=port):
        await until_health(port, lambda said: is_said(NOT_TAKEN_YET, said))
        assert not people.ada.list_visible_commands()
        discord.faults.clear()
        await until_health(port, lambda said: "commands" not in said)
        assert people.ada.list_visible_commands()
