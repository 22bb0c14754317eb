"""Two programs on one data folder: the second stands by, and goes on where the first is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cli.serve import serve
from cli.standby import is_taken, wait_for_turn
from config import Settings
from db.admin.reconcile import reconcile
from db.engine import Database
from db.lock import FolderLock, in_use
from db.stores.jobs import JobStore
from discord_sandbox import Sandbox
from generation.errors import ConfigurationError
from generation.jobs.job import Status
from tests.patience import until
from tests.scenarios.bot_harness import People, job_id_in, until_done, until_shown

ROOT = Path(__file__).resolve().parents[2]
LIGHT_SERVE = """
import functools, sys
import cli.workers
from cli.app import app
from tests.scenarios.steady_engine import ENGINE
cli.workers.WorkerConfig = functools.partial(cli.workers.WorkerConfig, engine=ENGINE)
sys.argv[1:] = ["serve", "--wait"]
app()
"""
"""`bot.py serve --wait` with an engine without a model."""


@asynccontextmanager
async def serving(
    discord: Sandbox, data_dir: Path, log: Path, **settings: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "ATELIER_DATA_DIR": str(data_dir),
        "ATELIER_DISCORD_URL": discord.url,
        "ATELIER_DISCORD_TOKEN": discord.token,
        "ATELIER_HEALTH_PORT": "0",
        "ATELIER_NUM_THREADS": "1",
        **settings,
    }
    with log.open("ab") as sink:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", LIGHT_SERVE, env=environment, stderr=sink, cwd=ROOT
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def until_said(log: Path, text: str) -> None:
    await until(lambda: text in log.read_text(encoding="utf-8"), every_s=0.02)


async def test_a_standby_goes_on_where_a_killed_bot_stopped(discord: Sandbox, people: People, tmp_path: Path) -> None:
    data_dir, logs = tmp_path / "data", (tmp_path / "first.log", tmp_path / "second.log")
    async with serving(discord, data_dir, logs[0]) as first:
        await discord.wait_for(lambda: discord.gateway.is_connected)
        async with serving(discord, data_dir, logs[1]) as second:
            await until_said(logs[1], "action=standing-by")
            prompts = ("a slow-image", "a red circle", "a blue square")
            asked = [await people.ada.slash("imagine", prompt=prompt, steps=40, count=2) for prompt in prompts]
            for each in asked:
                await until_shown(discord, each)
            assert discord.gateway.num_identifies == 1, "a standby is not connected"
            os.kill(first.pid, signal.SIGKILL)
            await discord.wait_for(lambda: discord.gateway.num_identifies == 2)
            messages = [await until_done(discord, each) for each in asked]
            assert [len(message.attachments) for message in messages] == [2, 2, 2]
            assert len(people.general.messages_ever) == 3, "none is posted twice"
            again = await until_done(discord, await people.bo.slash("imagine", prompt="a green star", steps=4))
            assert again.attachments
            second.terminate()
            assert await second.wait() == 0
    async with await Database.open(f"sqlite:///{data_dir / 'atelier.db'}", data_dir) as database:
        assert (await reconcile(database)).is_exact
        for message in messages:
            job = await JobStore(database).fetch_job(job_id_in(message))
            assert {image.status for image in job.images} == {Status.DONE}


async def test_a_standby_waits_for_the_lock_or_for_its_end(tmp_path: Path) -> None:
    settings, stop = Settings(data_dir=tmp_path), asyncio.Event()
    async with await Database.open(settings.url_of_database, tmp_path):
        waiting = asyncio.create_task(wait_for_turn(settings, stop))
        assert await asyncio.to_thread(is_taken, settings)
        stop.set()
        assert not await waiting
    assert await wait_for_turn(settings, asyncio.Event())


async def test_of_two_that_waited_the_slower_one_waits_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    winner, tries = FolderLock(tmp_path), 0

    async def run(settings: Settings, stop: asyncio.Event, systemd: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            winner.reserve()
            raise in_use("the data folder", "the winner", "another")

    async def wait(settings: Settings, stop: asyncio.Event) -> bool:
        winner.release()
        return await wait_for_turn(settings, stop)

    monkeypatch.setattr("cli.serve._serve", run)
    monkeypatch.setattr("cli.serve.wait_for_turn", wait)
    await serve(Settings(data_dir=tmp_path), waits=True)
    assert tries == 2


async def test_a_standby_that_cannot_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no Discord token"):
        await serve(Settings(data_dir=tmp_path), waits=True)
