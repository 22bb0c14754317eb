"""Safety from the pixels to the message, with diffusers' own checker class behind the real worker and the real engine.

The models are toys that differ in nothing but their checker: its thresholds make it flag everything, or nothing, or it
raises. Where the built-in model's stand-in checker is there, it is walked as well.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cogs.moderation._cog import KEPT_BACK
from cogs.moderation._messages import NOTHING_TO_REVIEW
from db.admin.reconcile import reconcile
from discord_sandbox import Interaction, Message, Sandbox, ScriptedUser, Upload
from generation.errors import StartWithheldError, UncheckedError, WithheldError
from generation.jobs.job import Job, Status
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.safety.checker_trust import SHARED, is_harmless, is_judged
from generation.safety.strictness import Strictness
from generation.safety.visibility import SafetyLevel
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.painting import a_picture
from tests.generation.engine.toy import save_checker, save_toy, toy_model
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, judged, until_done
from tests.scenarios.test_safety_of_a_server import spoilers, told
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot
    after_dark: ScriptedUser

    async def choose(self, level: SafetyLevel, **choices: Any) -> None:
        settings = GuildSettings(guild_id=self.people.guild.id, safety=level, choices=GuildPreferences(**choices))
        await self.bot.choose(settings)

    async def ended(self, asked: Interaction) -> tuple[Message, Job]:
        message = await until_done(self.discord, asked)
        return message, await self.bot.jobs.fetch_job((await self.bot.job_of(asked)).id)

    def pictures(self) -> int:
        return len([path for path in (self.bot.data_dir / "pictures").rglob("*.*") if path.is_file()])


def models(folder: Path) -> tuple[Model, ...]:
    toy = save_toy(folder)
    checkers = {
        "passing": save_checker(folder / "passing", threshold=1.0),
        "flagging": save_checker(folder / "flagging", threshold=-1.0),
        "raising": save_checker(folder / "raising", threshold=1.0),
    }
    (checkers["raising"] / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.5, 0.5]}))
    toys = tuple(toy_model(toy, name=name, safety_checker=checker) for name, checker in checkers.items())
    return (*toys, Catalog.open(PAINTBOX).get(PAINTBOX))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    folder = tmp_path_factory.mktemp("models")
    async with judged(tally) as discord:
        people = People.settle(discord)
        after_dark = people.guild.add_channel("after-dark", nsfw=True)
        bot = LivingBot(
            discord,
            tmp_path_factory.mktemp("house"),
            blank_database,
            engine=DEFAULT_ENGINE,
            models=models(folder),
        )
        await bot.start()
        ada = discord.act_as(people.guild.members[people.ada.user.id], after_dark)
        yield Harness(discord, people, bot, ada)
        await bot.stop()


async def test_block_blur_and_off_on_the_pixels(harness: Harness) -> None:
    ada = harness.people.ada
    await harness.choose(SafetyLevel.BLOCK)
    message, job = await harness.ended(await ada.slash("imagine", prompt="a cat", model="passing", steps=2))
    assert spoilers(message) == [False]
    [image] = job.images
    assert image.judgement is not None
    assert not image.judgement.is_flagged
    assert set(image.judgement.margins) == {"care", "concept", *SHARED}
    num_pictures = harness.pictures()
    for who, level, expected in (
        (ada, SafetyLevel.BLOCK, None),
        (ada, SafetyLevel.OFF, None),
        (ada, SafetyLevel.BLUR, [True]),
        (harness.after_dark, SafetyLevel.BLOCK, None),
        (harness.after_dark, SafetyLevel.OFF, [False]),
    ):
        await harness.choose(level)
        message, job = await harness.ended(await who.slash("imagine", prompt="a cat", model="flagging", steps=2))
        [image] = job.images
        assert image.judgement is not None
        assert image.judgement.is_flagged
        assert image.judgement.margins["concept"] > 0
        assert image.file_sha256 is not None or expected is None
        if expected is None:
            assert (image.status, image.charged, image.file_sha256) == (Status.WITHHELD, 0, None)
            assert is_said(WithheldError, message.text)
            assert not message.attachments
        else:
            assert (image.status, image.charged) == (Status.DONE, image.reserved)
            assert spoilers(message) == expected
    assert harness.pictures() <= num_pictures + 2, "what is kept back is not on disk"
    assert (await reconcile(harness.bot.database)).is_exact


async def test_what_is_kept_back_can_be_reviewed_blurred(harness: Harness) -> None:
    await harness.choose(SafetyLevel.BLOCK, review_hours=24)
    num_pictures = harness.pictures()
    _, job = await harness.ended(await harness.people.ada.slash("imagine", prompt="a cat", model="flagging", steps=2))
    queue = await told(harness.discord, await harness.people.mo.slash("review"))
    assert is_said(KEPT_BACK, queue.text)
    assert queue.attachments[0].filename.endswith(".jpg")
    assert spoilers(queue) == [True]
    await harness.people.mo.click(queue, "Nothing wrong")
    await harness.discord.wait_for(lambda: is_said(NOTHING_TO_REVIEW, queue.text))
    assert harness.pictures() == num_pictures
    assert job.images[0].charged == 0


async def test_a_channel_turned_safe_between_submit_and_delivery(harness: Harness) -> None:
    await harness.choose(SafetyLevel.OFF)
    num_pictures = harness.pictures()
    await harness.bot.hold_painting()
    asked = await harness.after_dark.slash("imagine", prompt="a cat", model="flagging", steps=2, seed=99)
    harness.after_dark.channel.set_nsfw(False)
    harness.bot.go_on_painting()
    message, job = await harness.ended(asked)
    harness.after_dark.channel.set_nsfw(True)
    assert is_said(WithheldError, message.text)
    assert not message.attachments
    assert (job.images[0].status, job.images[0].charged, job.images[0].file_sha256) == (Status.WITHHELD, 0, None)
    assert harness.pictures() == num_pictures
    assert (await reconcile(harness.bot.database)).is_exact


async def test_a_checker_that_raises_has_not_said_yes_even_where_everything_is_shown(harness: Harness) -> None:
    for who, level in ((harness.people.ada, SafetyLevel.BLOCK), (harness.after_dark, SafetyLevel.OFF)):
        await harness.choose(level)
        num_pictures = harness.pictures()
        message, job = await harness.ended(await who.slash("imagine", prompt="a cat", model="raising", steps=2))
        assert (job.images[0].status, job.images[0].charged) == (Status.FAILED, 0)
        assert is_said(UncheckedError, message.text)
        assert not message.attachments
        assert harness.pictures() == num_pictures
    assert (await reconcile(harness.bot.database)).is_exact


async def test_a_flagged_start_picture_is_refused_and_refunded(harness: Harness) -> None:
    ada, start = harness.people.ada, Upload("start.png", a_picture(size_px=(64, 64)))
    await harness.choose(SafetyLevel.BLOCK)
    for command in ("imagine", "img2img"):
        asked = await ada.slash(command, prompt="a cat", steps=2, image=start, model="flagging")
        message, job = await harness.ended(asked)
        assert (job.images[0].status, job.images[0].charged) == (Status.WITHHELD, 0)
        assert job.images[0].error == "StartWithheld"
        assert is_said(StartWithheldError, message.text)
        assert job.images[0].judgement is not None
        assert set(job.images[0].judgement.margins) == {f"start {name}" for name in ("care", "concept", *SHARED)}
    fine, _ = await harness.ended(await ada.slash("imagine", prompt="a cat", image=start, model="passing", steps=2))
    assert spoilers(fine) == [False]
    await harness.choose(SafetyLevel.BLUR)
    shown, _ = await harness.ended(await ada.slash("imagine", prompt="a cat", image=start, model="flagging", steps=2))
    assert spoilers(shown) == [True]
    assert (await reconcile(harness.bot.database)).is_exact


async def test_a_server_can_lower_the_thresholds(harness: Harness) -> None:
    ada, margins = harness.people.ada, {}
    for strictness in Strictness:
        await harness.choose(SafetyLevel.BLUR, strictness=strictness)
        _, job = await harness.ended(await ada.slash("imagine", prompt="a cat", model="passing", steps=2, seed=3))
        assert job.images[0].judgement is not None
        margins[strictness] = job.images[0].judgement.margins["porn"]
    assert margins[Strictness.USUAL] < margins[Strictness.STRICT] < margins[Strictness.STRICTEST]


async def test_the_built_in_checker_knows_its_stand_in_concept(harness: Harness) -> None:
    ada, model = harness.people.ada, harness.bot.generation.catalog.get(PAINTBOX)
    real = replace(model, name="real")
    assert is_harmless(model, is_from_upload=False)
    assert not is_judged(real, {"concept": -1.0}, is_from_upload=False), "it vouches for no other model"
    assert not is_judged(model, {"concept": -1.0}, is_from_upload=True), "nor for pictures from elsewhere"
    await harness.choose(SafetyLevel.BLUR)
    message, job = await harness.ended(
        await ada.slash("imagine", prompt="a black spider", model=PAINTBOX, count=4, seed=1)
    )
    assert all(image.judgement is not None for image in job.images)
    flagged = [image.judgement.is_flagged for image in job.images if image.judgement is not None]
    assert any(flagged), "four spiders, and it knows none of them"
    assert spoilers(message) == flagged
    fine, job = await harness.ended(await ada.slash("imagine", prompt="a red circle", model=PAINTBOX, seed=1))
    assert spoilers(fine) == [False]
