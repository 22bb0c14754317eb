"""The checkers of all models, from the pixels to the message: real networks behind the real worker and a toy model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from generation.jobs.job import Status
from generation.safety.checker_trust import SHARED
from generation.safety.visibility import SafetyLevel
from generation.workers.engine_settings import CheckerThresholds
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import save_toy, toy_model
from tests.scenarios.bot_harness import LivingBot, People, judged
from tests.scenarios.test_safety_end_to_end import Harness
from tests.scenarios.test_safety_of_a_server import spoilers
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    """With a model that brings no checker, and the operator's threshold of open_nsfw at nothing."""
    bare = toy_model(save_toy(tmp_path_factory.mktemp("bare")), name="bare")
    async with judged(tally) as discord:
        people = People.settle(discord)
        after_dark = people.guild.add_channel("after-dark", nsfw=True)
        folder = tmp_path_factory.mktemp("strict")
        thresholds = CheckerThresholds(open_nsfw=0.0)
        bot = LivingBot(discord, folder, blank_database, engine=DEFAULT_ENGINE, models=(bare,), thresholds=thresholds)
        await bot.start()
        yield Harness(discord, people, bot, discord.act_as(people.guild.members[people.ada.user.id], after_dark))
        await bot.stop()


async def test_a_model_without_a_checker_is_judged_by_those_of_all_models(harness: Harness) -> None:
    ada = harness.people.ada
    for prompt in ("a boat", "a boat as a child draws it"):
        await harness.choose(SafetyLevel.BLOCK)
        message, job = await harness.ended(await ada.slash("imagine", prompt=prompt, steps=2))
        [image] = job.images
        assert (image.status, image.charged, image.file_sha256) == (Status.WITHHELD, 0, None)
        assert image.judgement is not None
        assert image.judgement.margins.keys() == SHARED
        assert image.judgement.margins["open_nsfw"] > 0 > image.judgement.margins["porn"]
        assert not message.attachments
    assert harness.pictures() == 0


async def test_an_age_in_the_words_and_a_flag_on_the_pixels_are_shown_nowhere(harness: Harness) -> None:
    dark = harness.after_dark
    await harness.choose(SafetyLevel.OFF, review_hours=24)
    message, _ = await harness.ended(await dark.slash("imagine", prompt="a boat", steps=2))
    assert spoilers(message) == [False], "the control: what is flagged is shown here"
    kept = harness.pictures()
    message, job = await harness.ended(await dark.slash("imagine", prompt="a boat as a child draws it", steps=2))
    assert (job.images[0].status, job.images[0].charged) == (Status.WITHHELD, 0)
    assert not message.attachments
    assert harness.pictures() == kept, "nor is it kept for moderators"
