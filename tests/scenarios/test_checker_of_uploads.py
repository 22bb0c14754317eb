"""Where checking is switched off, what starts from pictures from elsewhere stays after dark.

With the light engine behind the real worker; the checkers themselves are in `test_safety_end_to_end`.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from cogs.common.messages import Action
from cogs.results._messages import NOT_SHOWN_HERE
from discord_sandbox import Interaction, Message, Sandbox, ScriptedUser, Upload
from generation.images.region import draw_mask
from generation.jobs.job import Job, Status
from generation.policy.errors import UncheckedUploadError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.safety.visibility import SafetyLevel
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, judged, until_done, until_shown
from tests.scenarios.test_safety_of_a_server import told
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
ONLY_THERE = str(UncheckedUploadError())


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot
    after_dark: ScriptedUser
    """Ada in an age-restricted channel."""

    async def choose(self, level: SafetyLevel) -> None:
        settings = GuildSettings(guild_id=self.people.guild.id, safety=level, choices=GuildPreferences())
        await self.bot.choose(settings)

    async def refused(self, asked: Interaction) -> None:
        assert asked.modal is None
        said = (await told(self.discord, asked)).text
        assert ONLY_THERE in said

    async def done(self, asked: Interaction) -> Message:
        message = await until_done(self.discord, asked)
        assert (await self.bot.jobs.fetch_job(job_id_in(message))).status is Status.DONE
        return message

    async def job(self, message: Message) -> Job:
        return await self.bot.jobs.fetch_job(job_id_in(message))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        channel = people.guild.add_channel("after-dark", nsfw=True)
        bot = LivingBot(discord, tmp_path_factory.mktemp("house"), blank_database, checks_safety=False)
        await bot.start()
        harness = Harness(discord, people, bot, discord.act_as(people.guild.members[people.ada.user.id], channel))
        await harness.choose(SafetyLevel.OFF)  # else what was not checked counts as flagged
        yield harness
        await bot.stop()


def a_file(name: str = "a.png") -> Upload:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((128, 128)).convert("RGB").save(buffer, "PNG")
    return Upload(name, buffer.getvalue())


async def every_way_in(harness: Harness, who: ScriptedUser) -> list[tuple[str, Interaction]]:
    """A picture from elsewhere, however it is handed in."""
    mask = Upload("mask.png", draw_mask((0,), (128, 128)))
    wishes: dict[str, Any] = {"prompt": "a storm", "image": a_file()}
    ways = [
        ("imagine", await who.slash("imagine", steps=2, **wishes)),
        ("img2img", await who.slash("img2img", steps=2, **wishes)),
        ("inpaint", await who.slash("inpaint", steps=2, mask=mask, **wishes)),
        ("upscale", await who.slash("upscale", image=a_file())),
    ]
    photo = who.say("look", files=[a_file("photo.png")])
    opened = await who.context_menu("Use as start image", photo)
    ways.append(("start", await who.submit_modal(opened, {"prompt": "a storm"})))
    ways.append(("Upscale", await who.context_menu("Upscale", photo)))
    words = await until_done(harness.discord, await who.slash("imagine", prompt="a sea", steps=2))
    menu, region = f"atelier-menu:{job_id_in(words)}", f"atelier:{Action.REGION}:{job_id_in(words)}:0"
    ways.append(("mask", await who.submit_modal(await who.select(words, menu, [region]), {"mask": mask})))
    return ways


async def test_a_picture_from_elsewhere_is_painted_from_after_dark_only(harness: Harness) -> None:
    before = len(harness.bot.generation.list_live_ids())
    for name, asked in await every_way_in(harness, harness.people.ada):
        assert ONLY_THERE in (await told(harness.discord, asked)).text, name
    assert len(harness.bot.generation.list_live_ids()) == before
    for name, asked in await every_way_in(harness, harness.after_dark):
        assert (await harness.job(await harness.done(asked))).is_from_upload, name


async def test_files_are_not_even_fetched(harness: Harness) -> None:
    kept = len(list((harness.bot.data_dir / "pictures").rglob("*.png")))
    await harness.refused(await harness.people.ada.slash("img2img", image=a_file("b.png"), prompt="x", steps=2))
    assert len(list((harness.bot.data_dir / "pictures").rglob("*.png"))) == kept


async def test_what_was_made_of_such_pictures_stays_there_too(harness: Harness) -> None:
    """Its result is as good as the picture itself, at a low strength; so are those of its result."""
    ada, dark = harness.people.ada, harness.after_dark
    start = await harness.done(await dark.slash("img2img", image=a_file(), prompt="x", steps=2))
    opened = await dark.context_menu("Use as start image", start)
    second = await harness.done(await dark.submit_modal(opened, {"prompt": "y", "strength": "0.05"}))
    enlarged = await harness.done(await dark.click(second, button_of(second, Action.UPSCALE)))
    assert (await harness.job(enlarged)).is_from_upload
    for message in (start, second):
        for action in (Action.REROLL, Action.VARY, Action.UPSCALE):
            # As if it had been posted here: a button works wherever its message is.
            await harness.refused(await ada.forging.click(message, button_of(message, action)))
    for message in (start, second, enlarged):
        await harness.refused(await ada.slash("reproduce", picture=job_id_in(message)))
    again = await harness.done(await dark.slash("reproduce", picture=job_id_in(second)))
    assert (await harness.job(again)).is_from_upload


async def test_it_is_not_shown_elsewhere_either(harness: Harness) -> None:
    ada, dark = harness.people.ada, harness.after_dark
    shown = await harness.done(await dark.slash("img2img", image=a_file(), prompt="x", steps=2, seed=1))
    assert len(shown.attachments) == 1
    here = await until_shown(harness.discord, await dark.slash("history"))
    there = await until_shown(harness.discord, await ada.slash("history"))
    opening = button_of(here, Action.OPEN)
    assert opening.endswith(job_id_in(shown))
    assert opening not in [button["custom_id"] for button in there.buttons]
    assert (await until_shown(harness.discord, await dark.click(here, opening))).attachments
    opened = await until_shown(harness.discord, await ada.forging.click(here, opening))
    assert not opened.attachments
    assert is_said(NOT_SHOWN_HERE, opened.text)


async def test_a_channel_turned_safe_gets_none(harness: Harness) -> None:
    dark = harness.after_dark
    await harness.bot.hold_painting()
    asked = await dark.slash("img2img", image=a_file(), prompt="x", steps=2, seed=2)
    await harness.discord.wait_for(lambda: harness.bot.generation.list_live_ids())
    dark.channel.set_nsfw(False)
    harness.bot.go_on_painting()
    message = await until_done(harness.discord, asked)
    dark.channel.set_nsfw(True)
    assert not message.attachments
    [image] = (await harness.job(message)).images
    assert (image.status, image.charged, image.file_sha256) == (Status.WITHHELD, 0, None)


async def test_words_alone_are_painted_and_changed_anywhere(harness: Harness) -> None:
    ada = harness.people.ada
    message = await harness.done(await ada.slash("imagine", prompt="a sea", steps=2))
    started = await ada.context_menu("Use as start image", message)
    for asked in (
        await ada.click(message, button_of(message, Action.UPSCALE)),
        await ada.click(message, button_of(message, Action.VARY)),
        await ada.submit_modal(started, {"prompt": "a calm"}),
    ):
        assert not (await harness.job(await harness.done(asked))).is_from_upload
