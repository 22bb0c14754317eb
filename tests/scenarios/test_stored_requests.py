"""What another release has stored: one request this one cannot paint fails alone, and everything else goes on."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

from cogs.history._messages import TITLE
from cogs.recipe._messages import TITLE as RECIPE
from db.admin.reconcile import reconcile
from db.stores.deliveries import DeliveryStore
from discord_sandbox import Sandbox
from generation.errors import OutdatedError
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Status
from generation.requests.errors import UnknownSamplerError
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, until_done, until_shown

RED = "a red circle on a blue background"


def rewrite(bot: LivingBot, job_id: str, **changes: object) -> None:
    """Change what a job asks for, as a release with other rules would have accepted it."""
    with closing(sqlite3.connect(bot.data_dir / "atelier.db")) as connection:
        for table, column, key in (("images", "spec", "job_id"), ("jobs", "request", "id")):
            query = f"SELECT {column} FROM {table} WHERE {key} = ?"
            value = json.loads(connection.execute(query, (job_id,)).fetchone()[0])
            (value if table == "images" else value["spec"]).update(changes)
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (json.dumps(value), job_id))
        connection.commit()


async def test_requests_of_another_release_are_refunded_and_told_and_leave_others_alone(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    await bot.hold_painting()
    unknown = {"prompt": "a \uffff on a shelf"}, {"sampler": "Not Yet Known"}, {"steps": "ten"}, {"prompt": ""}
    asked = [await people.ada.slash("imagine", prompt="a lamp", steps=2) for _ in unknown]
    other = await people.bo.slash("imagine", prompt=RED, steps=2)
    for each in (*asked, other):
        await until_shown(discord, each)
    jobs = [await bot.job_of(each) for each in asked]
    await bot.crash()
    for job, changes in zip(jobs, unknown, strict=True):
        rewrite(bot, job.id, **changes)

    await bot.start()
    assert len((await until_done(discord, other)).attachments) == 1
    for each, job in zip(asked, jobs, strict=True):
        message = await until_done(discord, each)
        assert str(OutdatedError()) in message.text
        ended = await bot.jobs.fetch_job(job.id)
        assert [(image.status, image.charged) for image in ended.images] == [(Status.FAILED, 0)]
        await discord.wait_for(lambda: not bot.tracker.tasks, timeout_s=60)
        assert (await DeliveryStore(bot.database).fetch(job.id)).state is DeliveryState.POSTED
    assert (await reconcile(bot.database)).is_exact

    again = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    assert len(again.attachments) == 1
    history = await until_shown(discord, await people.ada.slash("history"))
    assert is_said(TITLE, history.text)


async def test_finished_pictures_of_another_release_are_shown_and_their_buttons_say_what_is_wrong(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await people.ada.slash("imagine", prompt="a lamp", steps=2)
    message = await until_done(discord, asked)
    kept = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    job = await bot.job_of(asked)
    rewrite(bot, job.id, sampler="Not Yet Known")
    history = await until_shown(discord, await people.ada.slash("history"))
    assert "a lamp" in history.text and RED in history.text
    assert kept.attachments
    pressed = await people.ada.click(message, button_of(message, "reroll"))
    told = await discord.wait_for(lambda: pressed.followups or (pressed.ephemeral and pressed.original_message))
    assert is_said(UnknownSamplerError, (told[-1] if isinstance(told, list) else told).text, name="Not Yet Known")
    assert not bot.generation.list_live_ids()
    opened = await people.ada.click(message, button_of(message, "recipe"))
    assert "Not Yet Known" in (await until_shown(discord, opened)).text

    rewrite(bot, (await bot.job_of(asked)).id, steps="ten")
    rows = await until_shown(discord, await people.ada.slash("history"))
    assert RED in rows.text and rows.attachments
    seen = await until_shown(discord, await people.ada.click(message, button_of(message, "recipe")))
    assert is_said(RECIPE, seen.text)
