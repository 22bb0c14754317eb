"""Five generations of a picture, painted by the built-in model: the last one comes back from the database alone."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogs.results._messages import IDENTICAL
from discord_sandbox import Interaction, Message, Sandbox
from generation.models.catalog import PAINTBOX, Catalog
from generation.workers.frames import DEFAULT_ENGINE
from tests.messages import is_said
from tests.scenarios.bot_harness import SHOWS_ANYTHING, LivingBot, People, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    """The whole bot with the built-in model; nothing is kept back, as a sketch of three steps may be for a spider."""
    model = replace(Catalog.open(PAINTBOX).default, safety_checker=None)
    living = LivingBot(
        discord, tmp_path, blank_database, engine=DEFAULT_ENGINE, models=(model,), thresholds=SHOWS_ANYTHING
    )
    await living.start()
    yield living
    await living.stop()


async def test_the_last_picture_of_a_family_comes_back_when_every_file_is_gone(
    discord: Sandbox, people: People, bot: LivingBot, tmp_path: Path
) -> None:
    ada = people.ada

    async def done(asked: Interaction) -> Message:
        return await until_done(discord, asked)

    async def chosen(message: Message, action: str) -> Interaction:
        job_id = job_id_in(message)
        return await ada.select(message, f"atelier-menu:{job_id}", [f"atelier:{action}:{job_id}:0"])

    first = await done(await ada.slash("imagine", prompt=RED, seed=7, count=2, steps=3))
    varied = await done(await ada.click(first, "V2"))
    zoomed = await done(await chosen(varied, "zoomhalf"))
    form = await chosen(zoomed, "region")
    region = await done(await ada.submit_modal(form, {"cells": ["Middle", "Right"], "prompt": "a yellow star"}))
    large = await done(await ada.click(region, "Upscale"))
    again = await done(await chosen(large, "again"))
    assert is_said(IDENTICAL, again.text)
    assert (large.attachments[0].width, large.attachments[0].height) == (384, 384)

    await bot.stop()
    shutil.rmtree(tmp_path / "pictures")
    await bot.start()
    replayed = await done(await ada.slash("reproduce", picture=f"{job_id_in(large)}-0"))
    assert is_said(IDENTICAL, replayed.text)
    assert replayed.attachments[0].data == large.attachments[0].data

    recipe = await until_shown(discord, await ada.click(large, "Recipe"))
    for message in (region, zoomed, varied, first):
        assert str(message.id) in recipe.text
