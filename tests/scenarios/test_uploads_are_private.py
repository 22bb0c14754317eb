"""A picture somebody attaches is seen by them alone: others get at it by no button, form, command, recipe or server."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from cogs.common.messages import Action
from cogs.moderation._messages import format_purged
from cogs.recipe._messages import WORDS_ONLY
from cogs.results._messages import IDENTICAL
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser, Upload
from generation.errors import UnknownJobError
from generation.images.codec import decode_png
from generation.images.metadata import read_recipe, sign_png
from generation.images.region import draw_mask
from generation.jobs.errors import NotYourUploadError, PictureDeletedError, SourceDeletedError
from generation.jobs.job import Job, Status
from generation.requests.edits import Upscale
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, judged, until_done, until_shown
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
THEIRS = str(NotYourUploadError())
FOR_ALL = (Action.UPSCALE, Action.VARY, Action.REROLL, Action.REMIX)
IN_THE_MENU = (Action.STRONG, Action.REGION, Action.ZOOM_HALF, Action.ZOOM)


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot
    mallory: ScriptedUser

    async def painted(self, who: ScriptedUser, *, colour: str = "red", **options: Any) -> Message:
        """A picture that starts from an upload; another colour is another upload."""
        wanted = {"prompt": "a storm", "steps": 2, "strength": 1.0, "image": picture(colour)} | options
        return await until_done(self.discord, await who.slash("img2img", **wanted))

    async def job_in(self, message: Message) -> Job:
        return await self.bot.jobs.fetch_job(job_id_in(message))

    async def said(self, asked: Interaction) -> str:
        """What the person was told in private, before or after the acknowledgement."""
        if asked.ephemeral:
            return (await until_shown(self.discord, asked)).text
        await self.discord.wait_for(lambda: asked.followups, timeout_s=30)
        assert asked.followups[0].is_ephemeral
        return asked.followups[0].text

    async def made(self, asked: Interaction) -> Job:
        await until_done(self.discord, asked)
        return await self.bot.job_of(asked)

    def files(self) -> set[str]:
        return {path.stem for path in (self.bot.data_dir / "pictures").rglob("*.png")}

    def moderator(self) -> ScriptedUser:
        member = self.people.guild.add_member("mod", permissions=int(Permission.MANAGE_MESSAGES))
        return self.discord.act_as(member, self.people.general)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        elsewhere = discord.add_guild("Elsewhere")
        mallory = discord.act_as(elsewhere.add_member("mallory"), elsewhere.add_channel("lair"))
        bot = LivingBot(discord, tmp_path_factory.mktemp("house"), blank_database)
        await bot.start()
        yield Harness(discord, people, bot, mallory)
        await bot.stop()


def picture(colour: str) -> Upload:
    buffer = io.BytesIO()
    Image.new("RGB", (128, 128), colour).save(buffer, "PNG")
    return Upload("me.png", buffer.getvalue())


def posted(message: Message) -> Upload:
    return Upload("posted.png", message.attachments[0].data)


async def ways(harness: Harness, who: ScriptedUser, message: Message) -> dict[str, Interaction]:
    """Every way to make others of a picture by its message: buttons, the menu below it, and the message's own menu."""
    job_id = job_id_in(message)
    pressed = {name: await who.click(message, button_of(message, name)) for name in FOR_ALL}
    for name in IN_THE_MENU:
        pressed[name] = await who.select(message, f"atelier-menu:{job_id}", [f"atelier:{name}:{job_id}:0"])
    return pressed | {"menu": await who.context_menu("Upscale", message)}


async def test_others_can_make_nothing_of_a_picture_that_starts_from_an_upload(harness: Harness) -> None:
    message, bo = await harness.painted(harness.people.ada), harness.people.bo
    for who in (bo, harness.moderator()):
        for name, pressed in (await ways(harness, who, message)).items():
            assert pressed.modal is None, name
            assert THEIRS in await harness.said(pressed), name
    job_id = job_id_in(message)
    for name in ("remix", "region"):  # a form that nobody opened
        sent = await harness.people.ada.click(message, button_of(message, "remix"))
        assert sent.modal is not None
        sent.modal["custom_id"] = f"atelier:{name}:{job_id}" + (":0" if name == "region" else "")
        asked = await bo.forging.submit_modal(sent, {"strength": "0.05", "prompt": "a storm"})
        assert THEIRS in await harness.said(asked), name


async def test_their_uploader_can_make_everything_of_it(harness: Harness) -> None:
    ada = harness.people.ada
    message = await harness.painted(ada)
    opened: dict[str, dict[str, Any]] = {"remix": {"strength": "0.05"}, "region": {"cells": ["4"]}}
    for name, pressed in (await ways(harness, ada, message)).items():
        asked = await ada.submit_modal(pressed, opened[name]) if name in opened else pressed
        assert (await harness.made(asked)).status is Status.DONE, name


async def test_what_others_may_do_is_reproduce_and_start_from_what_they_see(harness: Harness) -> None:
    message, bo = await harness.painted(harness.people.ada), harness.people.bo
    job = await harness.job_in(message)
    menu = f"atelier-menu:{job.id}"
    again = [
        await bo.select(message, menu, [f"atelier:{Action.REPRODUCE}:{job.id}:0"]),
        await bo.slash("reproduce", picture=job.id),
        await bo.slash("reproduce", file=posted(message)),
    ]
    for asked in again:
        shown = await until_done(harness.discord, asked)
        assert is_said(IDENTICAL, shown.text)
        for name in ("reroll", "remix", "vary"):  # what was made again is no way to the upload either
            assert THEIRS in await harness.said(await bo.click(shown, button_of(shown, name))), name
    opened = await bo.context_menu("Use as start image", message)
    started = await harness.made(await bo.submit_modal(opened, {"prompt": "a calm", "strength": "0.05"}))
    assert started.request.spec.files == {job.images[0].file_sha256}
    assert started.status is Status.DONE


async def test_descendants_keep_their_upload(harness: Harness) -> None:
    """A reroll of a remix, and a variation of a reroll, still start from it."""
    ada, bo = harness.people.ada, harness.people.bo
    message = await harness.painted(ada, colour="blue")
    upload = (await harness.job_in(message)).request.spec.files
    opened = await ada.click(message, button_of(message, "remix"))
    remixed = await until_done(harness.discord, await ada.submit_modal(opened, {"strength": "0.5"}))
    rerolled = await until_done(harness.discord, await ada.click(remixed, button_of(remixed, "reroll")))
    varied = await until_done(harness.discord, await ada.click(rerolled, button_of(rerolled, "vary")))
    for each in (remixed, rerolled, varied):
        assert (await harness.job_in(each)).request.spec.files == upload
        assert THEIRS in await harness.said(await bo.click(each, button_of(each, "reroll")))
    assert THEIRS in await harness.said(await bo.click(varied, button_of(varied, "vary", 2)))


async def test_the_second_who_attaches_the_same_bytes_has_a_right_of_their_own(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    first, second = await harness.painted(ada, colour="green"), await harness.painted(bo, colour="green")
    upload = (await harness.job_in(first)).request.spec.files
    assert (await harness.job_in(second)).request.spec.files == upload
    await ada.click(first, button_of(first, "delete"))
    await harness.discord.wait_for(lambda: first.is_deleted)
    assert (await harness.made(await bo.click(second, button_of(second, "reroll")))).status is Status.DONE
    assert upload <= harness.files()


async def test_a_mask_is_an_upload_too(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    message = await until_done(harness.discord, await ada.slash("imagine", prompt="a sea", steps=2))
    job_id = job_id_in(message)
    opened = await bo.select(message, f"atelier-menu:{job_id}", [f"atelier:region:{job_id}:0"])
    sent = await bo.submit_modal(opened, {"mask": Upload("mask.png", draw_mask((0,), (128, 128)))})
    masked = await until_done(harness.discord, sent)
    assert THEIRS in await harness.said(await ada.click(masked, button_of(masked, "reroll")))
    assert (await harness.made(await bo.click(masked, button_of(masked, "reroll")))).status is Status.DONE


async def test_in_another_server_a_file_lends_its_words_and_settings_only(harness: Harness) -> None:
    message = await harness.painted(harness.people.ada, seed=77)
    enlarged = await until_done(harness.discord, await harness.people.ada.slash("upscale", image=picture("teal")))
    for each in (message, enlarged):
        asked = await harness.mallory.slash("reproduce", file=posted(each))
        shown = await until_done(harness.discord, asked)
        await harness.discord.wait_for(lambda asked=asked: [m for m in asked.followups if WORDS_ONLY in m.text])
        job, origin = await harness.job_in(shown), await harness.job_in(each)
        assert not is_said(IDENTICAL, shown.text)
        assert job.request.spec.sources == frozenset()
        assert (job.request.replay, job.is_from_upload) == (None, False)
        assert (job.request.spec.prompt, job.request.spec.seed) == (
            origin.request.spec.prompt,
            origin.request.spec.seed,
        )
    opened = await harness.mallory.click(shown, button_of(shown, "remix"))
    remixed = await harness.made(await harness.mallory.submit_modal(opened, {"strength": "0.05"}))
    assert remixed.request.spec.files == {job.images[0].file_sha256}, "from what was painted there"
    known = await harness.mallory.forging.slash("reproduce", picture=job_id_in(message))
    assert is_said(UnknownJobError, await harness.said(known))


async def test_a_recipe_that_names_an_upload_by_its_hash_gets_nothing_of_it(harness: Harness) -> None:
    """Also where it is told apart from a real one by its strength alone, and copied into another picture."""
    message, bo = await harness.painted(harness.people.ada), harness.people.bo
    pixels, size_px = decode_png(message.attachments[0].data)
    recipe = read_recipe(message.attachments[0].data)
    start = recipe.spec.start
    assert start is not None
    forged = (
        replace(recipe, spec=replace(recipe.spec, start=replace(start, strength=0.05))),
        replace(recipe, spec=replace(recipe.spec, seed=recipe.spec.seed + 1)),
        replace(recipe, spec=replace(recipe.spec, start=replace(start, sha256="a" * 64, mask_sha256=start.sha256))),
        replace(recipe, spec=replace(recipe.spec, start=None, upscale=Upscale(sha256=start.sha256)), trace=""),
        replace(recipe, pixels_sha256="b" * 64),
    )
    for each in forged:
        asked = await bo.slash("reproduce", file=Upload("forged.png", sign_png(pixels, size_px, each)))
        job = await harness.made(asked)
        assert job.request.spec.sources == frozenset(), each
        await harness.discord.wait_for(lambda asked=asked: [m for m in asked.followups if WORDS_ONLY in m.text])
    copied = Upload("copied.png", sign_png(bytes(len(pixels)), size_px, recipe))
    again = await harness.made(await bo.slash("reproduce", file=copied))
    assert again.images[0].file_sha256 == (await harness.job_in(message)).images[0].file_sha256


async def test_delete_takes_the_upload_and_leaves_no_way_back(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    before = harness.files()
    message = await harness.painted(ada, colour="orange", count=2)
    job = await harness.job_in(message)
    assert job.request.spec.files < harness.files() - before
    opened = await ada.click(message, button_of(message, "remix"))
    start = await bo.context_menu("Use as start image", message)
    await ada.click(message, button_of(message, "delete"))
    await harness.discord.wait_for(lambda: message.is_deleted)
    assert harness.files() == before
    assert is_said(SourceDeletedError, await harness.said(await ada.submit_modal(opened, {"strength": "0.05"})))
    late = await harness.said(await bo.submit_modal(start, {"prompt": "x", "strength": "0.05"}))
    assert is_said(PictureDeletedError, late)
    for who in (ada, bo):
        assert is_said(SourceDeletedError, await harness.said(await who.slash("reproduce", picture=job.id)))
        asked = await who.slash("reproduce", file=posted(message))
        assert (await harness.made(asked)).request.spec.sources == frozenset()


async def test_purge_takes_uploads_also_of_what_did_not_come_to_be(harness: Harness) -> None:
    kim = harness.discord.act_as(harness.people.guild.add_member("kim"), harness.people.general)
    before = harness.files()
    await harness.painted(kim, colour="pink")
    withheld = await harness.painted(kim, colour="gray", prompt="withhold-image")
    assert (await harness.job_in(withheld)).status is Status.WITHHELD
    assert len(harness.files() - before) == 3
    mo = harness.moderator()
    asked = await mo.slash("purge", member=kim.user)
    await harness.said(asked)
    purged = await mo.click(asked.messages[0], "Delete all of them")
    assert format_purged(1) in await harness.said(purged)
    assert harness.files() == before


async def test_what_did_not_come_to_be_can_be_tried_again(harness: Harness) -> None:
    ada = harness.people.ada
    withheld = await harness.painted(ada, colour="navy", prompt="withhold-image")
    again = await harness.made(await ada.click(withheld, button_of(withheld, "reroll")))
    assert again.status is Status.WITHHELD
    assert THEIRS in await harness.said(await harness.people.bo.click(withheld, button_of(withheld, "reroll")))


async def test_refusals_cost_nothing(harness: Harness) -> None:
    message, bo = await harness.painted(harness.people.ada), harness.people.bo
    quotas, guild_id = harness.bot.services.quotas, harness.people.guild.id
    before = await quotas.fetch_guild_usage(guild_id, since=harness.bot.now().replace(hour=0))
    for pressed in (await ways(harness, bo, message)).values():
        await harness.said(pressed)
    assert await quotas.fetch_guild_usage(guild_id, since=harness.bot.now().replace(hour=0)) == before
