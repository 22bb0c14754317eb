"""What is accepted ends once and arrives once, whatever dies in between."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from cogs.connection import CONNECTED, keep_connected
from db.engine import Database
from db.stores.deliveries import DeliveryStore
from discord_sandbox import Interaction, Sandbox
from generation.errors import WorkerLostError
from generation.jobs.job import Status
from generation.owner import Owner
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bot_harness import LivingBot, People, delete_by_hand, is_going, job_id_in, until_done, until_shown
from tests.stored import fetch_jobs

RED = "a red circle on a blue background"


def results(people: People) -> list[str]:
    """The jobs whose finished pictures can be seen, once for each message that ever showed them."""
    shown = [message for message in people.general.messages_ever if message.attachments and message.buttons]
    return [job_id_in(message) for message in shown if not is_going(message)]  # a preview is no result


def is_over(asked: Interaction) -> bool:
    message = asked.original_message
    return message is not None and not message.is_loading and not is_going(message)


async def ends_once(bot: LivingBot, job_id: str) -> None:
    job = await bot.jobs.fetch_job(job_id)
    assert job.status is Status.DONE
    assert all(image.recipe is not None for image in job.images)


async def test_a_worker_killed_in_the_middle_of_a_picture(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = [await people.ada.slash("imagine", prompt=f"slow-image {n}", steps=10) for n in range(3)]
    await discord.wait_for(lambda: "%" in asked[0].original_message.text)
    pid = bot.worker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    jobs = [job_id_in(await until_done(discord, each)) for each in asked]
    assert bot.worker.pid != pid
    assert sorted(results(people)) == sorted(jobs)
    for job_id in jobs:
        await ends_once(bot, job_id)


async def test_a_picture_that_kills_its_worker_does_not_take_others_with_it(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    poison = await people.bo.slash("imagine", prompt="crash-worker")
    good = [await people.ada.slash("imagine", prompt=RED, seed=n, steps=4) for n in range(3)]
    for each in good:
        assert len((await until_done(discord, each)).attachments) == 1
    message = await until_done(discord, poison)
    assert is_said(WorkerLostError, message.text, attempts=3)


async def test_a_bot_killed_with_jobs_waiting_and_running(discord: Sandbox, people: People, bot: LivingBot) -> None:
    await bot.hold_painting()
    asked = [await people.ada.slash("imagine", prompt=f"slow-image {n}", steps=20) for n in range(8)]
    bot.go_on_painting()
    await discord.wait_for(lambda: "%" in asked[0].original_message.text)
    await bot.crash()
    await bot.start()
    jobs = [job_id_in(await until_done(discord, each)) for each in asked]
    await _all_posted(bot, jobs)
    assert sorted(results(people)) == sorted(jobs)
    for job_id in jobs:
        await ends_once(bot, job_id)


async def test_a_bot_killed_at_five_moments(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """The moments are spread over the life of the jobs; the oracle is what Discord has ever shown.

    A command that was acknowledged but cut off before it was accepted stays “thinking”: nobody was told otherwise.
    """
    asked: list[Interaction] = []
    for moment in range(5):
        fresh = [await people.ada.slash("imagine", prompt=f"{RED} {moment}", steps=5, count=2) for _ in range(2)]
        asked += fresh
        wanted = len(discord.journal.calls) + 2 * moment
        # On a quick machine they may be done before that many calls.
        await discord.wait_for(
            lambda wanted=wanted, fresh=fresh: len(discord.journal.calls) >= wanted or all(map(is_over, fresh))
        )
        await bot.crash()
        await bot.start()
    owner = Owner(people.guild.id, people.ada.user.id)
    jobs = [job.id for job in await fetch_jobs(bot.jobs, owner)]
    for job_id in jobs:
        await bot.generation.finished(job_id)
        await ends_once(bot, job_id)
    await _all_posted(bot, jobs)
    told = [job_id_in(each.original_message) for each in asked if not each.original_message.is_loading]
    assert sorted(told) == sorted(jobs), "who was told has a job, and whose job was accepted was told"
    assert sorted(results(people)) == sorted(jobs), "each is shown by exactly one message"
    assert len(jobs) >= 5


async def test_a_result_ready_while_discord_was_away(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """The job ends while no client is up; the next one delivers it, to the same message."""
    asked = await people.ada.slash("imagine", prompt="slow-image", steps=4)
    message = await until_shown(discord, asked)
    job_id = job_id_in(message)
    await bot.client.close()
    await bot.generation.finished(job_id)
    assert not message.attachments or message.attachments[0].filename == "preview.jpg"
    await bot.reconnect()
    assert await until_done(discord, asked) is message
    assert results(people) == [job_id]


async def test_a_stopped_bot_leaves_nothing_undone(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = [await people.ada.slash("imagine", prompt=RED, seed=n, steps=3) for n in range(4)]
    jobs = [(await bot.ended(each)).id for each in asked]
    await bot.stop()
    await bot.start()
    for each in asked:
        await until_done(discord, each)
    assert sorted(results(people)) == sorted(jobs)


async def _all_posted(bot: LivingBot, jobs: list[str]) -> None:
    """Wait until the courier has nothing left to do."""
    async with asyncio.timeout(PATIENCE_S):
        while tasks := bot.tracker.tasks:
            await asyncio.wait(tasks)
    assert [str((await bot.deliveries.fetch(job_id)).state) for job_id in jobs] == ["posted"] * len(jobs)


@pytest.mark.parametrize("is_old", [False, True], ids=["edited by token", "written anew"])
async def test_a_bot_killed_after_posting_and_before_it_knew(
    is_old: bool, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """The narrowest place: people have the result, and nobody has written down that they do."""
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=2)
    message = await until_shown(discord, asked)
    job_id = job_id_in(message)
    if is_old:
        discord.clock.advance(20 * 60)
        delete_by_hand(discord, message)
    bot.go_on_painting()
    await discord.wait_for(lambda: results(people) == [job_id])
    await bot.crash()
    assert (await _state_on_disk(bot, job_id)) == "due", "it was killed in time"
    await bot.start()
    await _all_posted(bot, [job_id])
    assert results(people) == [job_id]


async def _state_on_disk(bot: LivingBot, job_id: str) -> str:
    async with await Database.open(f"sqlite:///{bot.data_dir / 'atelier.db'}", bot.data_dir) as database:
        return str((await DeliveryStore(database).fetch(job_id)).state)


async def test_a_gateway_that_closes_is_taken_up_again(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = await people.ada.slash("imagine", prompt="slow-image", steps=6)
    message = await until_shown(discord, asked)
    await discord.faults.close_gateway(4000)
    await until_done(discord, asked)
    await discord.wait_for(lambda: discord.gateway.is_connected)
    assert (await people.bo.click(message, "Recipe")).ephemeral


async def test_a_discord_that_fails_at_first_is_tried_again(discord: Sandbox, people: People, bot: LivingBot) -> None:
    await bot.client.close()
    discord.faults.fail("/gateway/bot", times=1, status=503)
    states: list[str] = []
    connected = asyncio.Event()

    def report(state: str) -> None:
        states.append(state)
        if state == CONNECTED:
            connected.set()

    keeping = asyncio.create_task(keep_connected(bot.services, discord.token, url=discord.url, report=report))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await connected.wait()
        assert len(states) >= 2, "the first try failed"
        assert (await people.ada.slash("about")).ephemeral
    finally:
        keeping.cancel()
        await asyncio.wait((keeping,))
