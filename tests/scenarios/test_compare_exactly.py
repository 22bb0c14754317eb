"""A comparison painted by the built-in model: each cell has its own recipe, and comes back from it byte for byte."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from cogs.results._messages import IDENTICAL
from discord_sandbox import Sandbox
from generation.images.metadata import read_recipe
from generation.jobs.job import Status
from generation.models.catalog import PAINTBOX, Catalog
from generation.workers.frames import DEFAULT_ENGINE
from tests.messages import is_said
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, until_done

RED = "a red circle on a blue background"


async def test_each_cell_is_painted_exactly_again(
    discord: Sandbox, people: People, tmp_path: Path, blank_database: Path
) -> None:
    model = replace(Catalog.open(PAINTBOX).default, safety_checker=None)
    bot = LivingBot(
        discord, tmp_path, blank_database, engine=DEFAULT_ENGINE, models=(model,), thresholds=SHOWS_ANYTHING
    )
    await bot.start()
    asked = await people.ada.slash("compare", prompt=RED, sampler="Euler, Heun", guidance="2, 4.5", steps="3")
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    assert [image.status for image in job.images] == [Status.DONE] * 4
    recipes = [read_recipe(file.data) for file in message.attachments[1:]]
    assert [(each.spec.sampler, each.spec.guidance) for each in recipes] == [
        (sampler, guidance) for sampler in ("Euler", "Heun") for guidance in (2.0, 4.5)
    ]
    assert len({each.spec.seed for each in recipes}) == 1 and len({each.pixels_sha256 for each in recipes}) == 4
    await bot.stop()
    await bot.start()
    again = await until_done(discord, await people.bo.slash("reproduce", picture=f"{job.id}-3"))
    assert is_said(IDENTICAL, again.text)
    assert [file.data for file in again.attachments] == [message.attachments[4].data]
    await bot.stop()
