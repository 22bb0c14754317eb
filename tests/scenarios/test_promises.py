"""Promises that need the whole program, or a bad hour of storage, clock or Discord; and crowds, and what logs hold.

`chaos` and the other modules show the rest; docs/reliability.md says which.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from bench._lives import Life, Lives
from bench.light_engine import ENGINE
from discord_sandbox import Interaction, Sandbox
from generation.errors import CrowdedError, NotAcceptedError
from generation.jobs.job import Status
from generation.retry import num_stuck
from generation.workers.local import LocalWorker
from tests.messages import is_said
from tests.patience import PATIENCE_S, until
from tests.scenarios import bot_harness
from tests.scenarios.bot_harness import LivingBot, People, delete_by_hand, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"
TWENTY_MINUTES_S, HALF_AN_HOUR_S = 20 * 60, 30 * 60


def results(people: People) -> list[str]:
    """The jobs whose finished pictures can be seen, once for each message that ever showed them."""
    return [job_id_in(message) for message in people.general.messages_ever if message.attachments and message.buttons]


# The program in a process of its own, with the light engine.


@asynccontextmanager
async def lives() -> AsyncIterator[Lives]:
    opened = await Lives.open(engine=ENGINE)
    try:
        yield opened
    finally:
        await opened.close()


async def begun(opened: Lives, discord: Sandbox, folder: Path) -> Life:
    environment = {
        "ATELIER_DATA_DIR": str(folder),
        "ATELIER_DISCORD_URL": discord.url,
        "ATELIER_DISCORD_TOKEN": discord.token,
        "ATELIER_HEALTH_PORT": "0",
        "ATELIER_SHUTDOWN_GRACE_S": "1",
        "ATELIER_LOG_LEVEL": "DEBUG",
    }
    await discord.wait_for(lambda: not discord.gateway.is_connected)
    life = await opened.start(environment, folder, folder / "log")
    await discord.wait_until_ready()
    return life


async def test_told_to_stop_under_load_it_hands_everything_on_and_logs_no_secret(
    discord: Sandbox, people: People, tmp_path: Path
) -> None:
    """P8: SIGTERM again and again with work in hand; each next start takes it up at once. All of it logged at DEBUG."""
    asked: list[Interaction] = []
    async with lives() as opened:
        for _ in range(4):
            life = await begun(opened, discord, tmp_path)
            discord.faults.rate_limit("/webhooks/*", times=2)  # discord.py has something to say then
            fresh = [await people.ada.slash("imagine", prompt=RED, count=2, steps=3, size="64x64") for _ in range(3)]
            for each in fresh:
                await until_shown(discord, each)  # accepted: from here on it is promised
            life.send(signal.SIGTERM)
            assert await life.over(timeout_s=PATIENCE_S)
            assert await life.status() == 0
            asked += fresh
        life = await begun(opened, discord, tmp_path)
        for each in asked:
            assert len((await until_done(discord, each)).attachments) == 2
        life.send(signal.SIGTERM)
        assert await life.over(timeout_s=PATIENCE_S)
    jobs = [job_id_in(each.original_message) for each in asked if each.original_message]
    assert sorted(results(people)) == sorted(jobs)
    said = (tmp_path / "log").read_text()
    assert " DEBUG " in said and "action=delivered" in said
    assert discord.token not in said
    assert [each.token for each in asked if each.token in said] == []


# The bot in this process: storage, clock and Discord have a bad hour.


async def test_a_database_locked_by_another_accepts_nothing_and_goes_on_after(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """P11: refused with a sentence while it lasts; what was promised before is kept until it can be written."""
    first = await people.ada.slash("imagine", prompt="slow-image", steps=3)
    await until_shown(discord, first)
    with closing(sqlite3.connect(bot.data_dir / "atelier.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        refused = await people.bo.slash("imagine", prompt=RED, steps=1)
        await discord.wait_for(lambda: refused.followups)
        await until(num_stuck)
        other.execute("ROLLBACK")
    assert refused.followups[0].is_ephemeral
    assert is_said(NotAcceptedError, refused.followups[0].content)
    await until_done(discord, first)
    assert num_stuck() == 0
    assert results(people) == [job_id_in(first.original_message)] if first.original_message else False
    await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=1))


async def test_a_disk_without_room_for_a_picture_delays_it(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """P11: the folder of pictures cannot be written to; when it can, the finished picture arrives, charged once."""
    folder = bot.data_dir / "pictures"
    folder.write_text("in the way")
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    await until_shown(discord, asked)
    await until(num_stuck)
    folder.unlink()
    message = await until_done(discord, asked)
    assert len(message.attachments) == 1
    job = await bot.jobs.fetch_job(job_id_in(message))
    assert [(image.status, image.charged) for image in job.images] == [(Status.DONE, job.images[0].reserved)]


async def test_an_outage_of_half_an_hour_loses_no_result(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """P9: killed with work in hand, started again when every token is too old and one message was deleted."""
    await bot.hold_painting()
    asked = [await people.ada.slash("imagine", prompt=RED, steps=1) for _ in range(3)]
    jobs = [job_id_in(await until_shown(discord, each)) for each in asked]
    await bot.crash()
    discord.clock.advance(HALF_AN_HOUR_S)
    assert asked[0].original_message is not None
    delete_by_hand(discord, asked[0].original_message)
    await bot.start()
    await discord.wait_for(lambda: sorted(results(people)) == sorted(jobs))


async def test_a_storm_of_every_kind_of_trouble_passes(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """P12: limits, server errors and lost answers together; afterwards each result stands once."""
    faults = discord.faults
    for path in ("/webhooks/*", "/channels/*"):
        faults.rate_limit(path, times=6, retry_after_s=0.05)
        faults.fail(path, times=3, status=502)
        faults.fail(path, times=2, status=500, performed=True)
        faults.drop_answer(path, times=3)
    asked = [await people.ada.slash("imagine", prompt=RED, steps=2) for _ in range(8)]
    for each in asked:
        await until_done(discord, each)
    faults.clear()
    jobs = [job_id_in(each.original_message) for each in asked if each.original_message]
    await discord.wait_for(lambda: sorted(results(people)) == sorted(jobs))
    assert discord.journal.num_invalid < 50, "Discord bans an address for 10,000 in 10 minutes"


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_clock_that_jumps_ends_nothing_early_and_charges_nothing_twice(
    hours: int, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """P14: this machine's clock is set while a picture is painted. (Days and their changes: tests of quotas.)"""
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=2)
    message = await until_shown(discord, asked)
    asked_at = bot.now()
    bot.clock_ahead = timedelta(hours=hours)
    bot.go_on_painting()
    assert await until_done(discord, asked) is message
    job = await bot.jobs.fetch_job(job_id_in(message))
    assert job.images[0].charged == job.images[0].reserved
    usage = await bot.services.quotas.fetch_guild_usage(people.guild.id, since=asked_at - timedelta(hours=1))
    assert (usage.num_images, usage.reserved) == (1, 0)
    assert len(people.general.messages_ever) == 1


async def test_a_worker_frozen_beyond_patience_overwrites_nothing(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: another finishes what it held; when it would speak again, it is no more. (The fence itself: tests/db.)"""
    monkeypatch.setattr(bot_harness, "LocalWorker", partial(LocalWorker, hang_s=12.0))
    bot = LivingBot(discord, tmp_path, blank_database)
    await bot.start()
    asked = await people.ada.slash("imagine", prompt="slow-image", steps=60)
    await discord.wait_for(lambda: asked.original_message and "%" in asked.original_message.text)
    frozen = bot.worker.pid
    assert frozen is not None
    os.kill(frozen, signal.SIGSTOP)
    message = await until_done(discord, asked)
    with pytest.raises(ProcessLookupError):
        os.kill(frozen, signal.SIGCONT)
    job = await bot.jobs.fetch_job(job_id_in(message))
    assert [image.status for image in job.images] == [Status.DONE]
    assert job.images[0].attempt > 1
    assert results(people) == [job.id]
    await bot.stop()


async def test_more_than_can_be_let_in_are_refused_at_once_and_politely(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is let in is painted for, whoever is not reads so alone, is not charged, and can ask again."""
    monkeypatch.setattr("generation.admission.limiter.PLACES", 10)
    monkeypatch.setattr("generation.admission.limiter.PLACES_OF_ONE_GUILD", 4)
    other = discord.add_guild("Elsewhere")
    square = other.add_channel("square")
    crowd = [discord.act_as(people.guild.add_member(f"guest{n}"), people.general) for n in range(30)]
    outside = [discord.act_as(other.add_member(f"passer{n}"), square) for n in range(3)]
    asked = await asyncio.gather(*(who.slash("imagine", prompt=RED, steps=1) for who in (*crowd, *outside)))
    assert not [each for each in asked if each.failed]
    refused = [each for each in asked if each.ephemeral]
    assert refused
    assert len(refused) < len(crowd)
    assert not [each for each in refused if each in asked[-3:]], "one server's crowd kept another out"
    for each in refused:
        assert each.messages[0].text == str(CrowdedError())
    for each in asked:
        if each not in refused:
            assert (await until_done(discord, each)).attachments
    turned_away = crowd[asked.index(refused[0])]
    assert (await until_done(discord, await turned_away.slash("imagine", prompt=RED, steps=1))).attachments
    usage = await bot.services.quotas.fetch_guild_usage(people.guild.id, since=bot.now() - timedelta(days=1))
    assert usage.num_images == len(crowd) - len(refused) + 1
