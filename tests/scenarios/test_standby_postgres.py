"""Two programs on one PostgreSQL database: the second goes on where the first is killed, or loses its connection."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from db.admin.reconcile import reconcile
from db.engine import Database
from db.stores.jobs import JobStore
from discord_sandbox import Interaction, Sandbox
from generation.jobs.job import Status
from tests import postgres
from tests.scenarios.bot_harness import People, job_id_in, until_done, until_shown
from tests.scenarios.test_standby import serving, until_said

log = logging.getLogger(__name__)
pytestmark = pytest.mark.long
PROMPTS = ("a slow-image", "a red circle", "a blue square")


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.serve(durable=True) as started:
        yield started


@pytest.fixture
def url(server: postgres.Server) -> Iterator[str]:
    address = server.create()
    yield address
    server.drop(address)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Return two data folders, as of two machines, that share the pictures."""
    first, second = tmp_path / "one", tmp_path / "two"
    (first / "pictures").mkdir(parents=True)
    second.mkdir()
    (second / "pictures").symlink_to(first / "pictures")
    return first, second


async def ask(people: People, discord: Sandbox) -> list[Interaction]:
    asked = [await people.ada.slash("imagine", prompt=prompt, steps=40, count=2) for prompt in PROMPTS]
    for each in asked:
        await until_shown(discord, each)
    return asked


async def until_taken_over(discord: Sandbox, how: str) -> None:
    began_s = time.monotonic()
    await discord.wait_for(lambda: discord.gateway.num_identifies == 2)
    log.warning("the standby identified %.2f s after the holder was %s", time.monotonic() - began_s, how)


async def assert_each_was_painted_once(people: People, discord: Sandbox, asked: list[Interaction]) -> None:
    messages = [await until_done(discord, each) for each in asked]
    assert [len(message.attachments) for message in messages] == [2] * len(asked)
    assert len(people.general.messages_ever) == len(asked), "none is posted twice"


async def assert_books_are_exact(url: str, folder: Path, asked: list[Interaction]) -> None:
    async with await Database.open(url, folder) as database:
        assert (await reconcile(database)).is_exact
        for each in asked:
            assert each.original_message is not None
            job = await JobStore(database).fetch_job(job_id_in(each.original_message))
            assert {image.status for image in job.images} == {Status.DONE}


async def test_a_standby_goes_on_where_a_killed_bot_stopped(
    discord: Sandbox, people: People, tmp_path: Path, url: str, folders: tuple[Path, Path]
) -> None:
    logs = tmp_path / "first.log", tmp_path / "second.log"
    async with serving(discord, folders[0], logs[0], ATELIER_DATABASE_URL=url) as first:
        await discord.wait_for(lambda: discord.gateway.is_connected)
        async with serving(discord, folders[1], logs[1], ATELIER_DATABASE_URL=url) as second:
            await until_said(logs[1], "action=standing-by")
            asked = await ask(people, discord)
            os.kill(first.pid, signal.SIGKILL)
            await until_taken_over(discord, "killed")
            await assert_each_was_painted_once(people, discord, asked)
            second.terminate()
            assert await second.wait() == 0
    await assert_books_are_exact(url, folders[1], asked)


async def test_a_bot_that_was_frozen_and_cut_off_stands_by_when_it_goes_on(
    discord: Sandbox, people: People, tmp_path: Path, url: str, folders: tuple[Path, Path]
) -> None:
    """The server ends its session; then two bots would answer, one of which cannot save anything."""
    logs = tmp_path / "first.log", tmp_path / "second.log"
    async with serving(discord, folders[0], logs[0], ATELIER_DATABASE_URL=url) as first:
        await discord.wait_for(lambda: discord.gateway.is_connected)
        async with serving(discord, folders[1], logs[1], ATELIER_DATABASE_URL=url) as second:
            await until_said(logs[1], "action=standing-by")
            asked = await ask(people, discord)
            os.kill(first.pid, signal.SIGSTOP)
            postgres.end_sessions(url)
            await until_taken_over(discord, "cut off")
            os.kill(first.pid, signal.SIGCONT)
            await until_said(logs[0], "action=standing-by")
            await assert_each_was_painted_once(people, discord, asked)
            again = await until_done(discord, await people.bo.slash("imagine", prompt="a green star", steps=4))
            assert again.attachments
            second.terminate()
            assert await second.wait() == 0
            await discord.wait_for(lambda: discord.gateway.num_identifies == 3)
            again = await until_done(discord, await people.bo.slash("imagine", prompt="a red star", steps=4))
            assert again.attachments
            first.terminate()
            assert await first.wait() == 0
    await assert_books_are_exact(url, folders[1], asked)
