"""`from` of /imagine, /img2img, /inpaint and /upscale: a picture that is here already, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cogs.common.errors import (
    AgeRestrictedSourceError,
    ImageOrFromError,
    KeepsSizeError,
    MaskSizeError,
    NoLastPictureError,
    NoSourceError,
    PictureReferenceError,
    UnreadMessageError,
    WhichPictureError,
)
from discord_sandbox import Channel, Interaction, Message, Permission, Sandbox, ScriptedUser, Upload
from generation.errors import AtelierError, UnknownJobError
from generation.images.region import draw_mask
from generation.jobs.errors import NotYourUploadError, PictureDeletedError
from generation.jobs.job import Job, Status
from generation.policy.guild_preferences import GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, judged, until_done, until_shown
from tests.scenarios.test_from_pictures import png
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
RED = "a red circle on a blue background"


@dataclass
class Room:
    discord: Sandbox
    people: People
    bot: LivingBot
    late: Channel
    """An age-restricted channel."""

    async def paint(self, who: ScriptedUser, **options: Any) -> Message:
        return await until_done(self.discord, await who.slash("imagine", **{"prompt": RED, "steps": 1} | options))

    async def finish(self, asked: Interaction) -> Job:
        message = await until_done(self.discord, asked)
        return await self.bot.jobs.fetch_job(job_id_in(message))

    async def require_refused(self, asked: Interaction, error: type[AtelierError], **details: object) -> None:
        """In private, at once."""
        assert asked.ephemeral
        text = (await until_shown(self.discord, asked)).text
        assert is_said(error, text, **details), text

    def link(self, message: Message) -> str:
        return f"https://discord.com/channels/{self.people.guild.id}/{message.channel.id}/{message.id}"

    def at(self, who: ScriptedUser, channel: Channel) -> ScriptedUser:
        assert who.member is not None
        return self.discord.act_as(who.member, channel)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path) -> AsyncIterator[Room]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        late = people.guild.add_channel("after-dark", nsfw=True)
        bot = LivingBot(discord, tmp_path_factory.mktemp("house"), blank_database)
        await bot.start()
        yield Room(discord, people, bot, late)
        await bot.stop()


async def test_my_last_picture_here_is_typed_and_offered(room: Room) -> None:
    ada, quiet = room.people.ada, room.people.guild.add_channel("quiet")
    await room.require_refused(
        await room.at(ada, quiet).slash("imagine", prompt="x", **{"from": "last"}), NoLastPictureError
    )
    before = await room.paint(ada)
    grid = await room.paint(room.at(ada, quiet), count=2)
    last = await room.paint(ada, prompt="a green square")
    offered = await ada.autocomplete("imagine", focused="from", prompt="x")
    assert [each["value"] for each in offered] == [
        "last",
        f"{job_id_in(last)}-0",
        f"{job_id_in(grid)}-0",
        f"{job_id_in(grid)}-1",
        f"{job_id_in(before)}-0",
    ]
    assert offered[2]["name"].startswith("1 of 2")
    job = await room.finish(await ada.slash("imagine", prompt="a storm", strength=0.3, **{"from": "last"}))
    assert job.request.parent == f"{job_id_in(last)}-0"
    assert job.request.spec.start is not None
    assert job.request.spec.start.strength == 0.3
    assert (job.status, job.request.spec.prompt, job.is_from_upload) == (Status.DONE, "a storm", False)
    elsewhere = await room.finish(await room.at(ada, quiet).slash("img2img", prompt="a storm", **{"from": "last"}))
    assert elsewhere.request.parent == f"{job_id_in(grid)}-1"


async def test_by_link_and_by_id_with_a_number(room: Room) -> None:
    ada, bo = room.people.ada, room.people.bo
    grid = await room.paint(ada, count=2, aspect="16:9")
    job_id = job_id_in(grid)
    for text in (f"{room.link(grid)} 2", f"<{room.link(grid)}> #2", f"{job_id}-1", f"{job_id} 2"):
        job = await room.finish(await bo.slash("img2img", prompt="a storm", steps=1, **{"from": text}))
        assert job.request.parent == f"{job_id}-1", text
    assert job.request.spec.width_px > job.request.spec.height_px
    for text in (room.link(grid), job_id, f"{job_id} 3", f"{job_id}-7"):
        await room.require_refused(await bo.slash("upscale", **{"from": text}), WhichPictureError, most=2)
    for text in ("my cat", "https://example.org/cat.png", f"{room.link(grid)} two"):
        await room.require_refused(await bo.slash("upscale", **{"from": text}), PictureReferenceError)
    await room.require_refused(await bo.slash("upscale", **{"from": "0" * 22}), UnknownJobError)


async def test_upscale_and_inpaint_take_it_too(room: Room) -> None:
    ada = room.people.ada
    one = await room.paint(ada)
    larger = await room.finish(await ada.slash("upscale", **{"from": job_id_in(one)}))
    assert larger.request.spec.upscale is not None
    assert (larger.request.parent, larger.status) == (f"{job_id_in(one)}-0", Status.DONE)
    side_px = one.attachments[0].width
    mask = Upload("m.png", draw_mask((0, 1, 2), (side_px, side_px)))
    job = await room.finish(await ada.slash("inpaint", mask=mask, prompt="clouds", **{"from": room.link(one)}))
    assert job.request.spec.start is not None
    assert job.request.spec.start.mask_sha256 is not None
    assert job.status is Status.DONE
    small = Upload("m.png", draw_mask((0,), (64, 64)))
    refused = await ada.slash("inpaint", mask=small, prompt="clouds", **{"from": job_id_in(one)})
    await room.require_refused(refused, MaskSizeError, width=side_px, height=side_px)


async def test_one_of_the_two_and_no_other_size(room: Room) -> None:
    ada = room.people.ada
    one = await room.paint(ada)
    photo, side_px = Upload("a.png", png()), one.attachments[0].width
    both = await ada.slash("imagine", prompt="x", image=photo, **{"from": "last"})
    await room.require_refused(both, ImageOrFromError)
    await room.require_refused(await ada.slash("upscale"), NoSourceError)
    await room.require_refused(await ada.slash("img2img", prompt="x"), NoSourceError)
    for option in ({"aspect": "16:9"}, {"size": "512x256"}):
        asked = await ada.slash("imagine", prompt="x", **{"from": "last"}, **option)
        await room.require_refused(asked, KeepsSizeError, width=side_px, height=side_px)


async def test_a_member_names_only_what_they_can_see(room: Room) -> None:
    ada, bo, guild = room.people.ada, room.people.bo, room.people.guild
    closed = guild.add_channel("closed")
    closed.set_overwrite(guild.roles[guild.id], deny=int(Permission.VIEW_CHANNEL))
    assert ada.member is not None
    for each in (ada.member, guild.bot_member):
        closed.set_overwrite(each, allow=int(Permission.VIEW_CHANNEL))
    hidden = await room.paint(room.at(ada, closed))
    for text in (room.link(hidden), job_id_in(hidden)):
        await room.require_refused(await bo.slash("upscale", **{"from": text}), UnknownJobError)
    job = await room.finish(await ada.slash("upscale", **{"from": room.link(hidden)}))
    assert job.status is Status.DONE


async def test_private_pictures_are_their_owners(room: Room) -> None:
    ada, bo, guild = room.people.ada, room.people.bo, room.people.guild
    await room.bot.choose(GuildSettings(guild_id=guild.id, choices=GuildPreferences(visibility=Visibility.PRIVATE)))
    asked = await ada.slash("imagine", prompt=RED, steps=1)
    secret = await until_done(room.discord, asked)
    await room.bot.choose(GuildSettings(guild_id=guild.id))
    await room.require_refused(await bo.slash("upscale", **{"from": job_id_in(secret)}), UnknownJobError)
    job = await room.finish(await ada.slash("upscale", **{"from": "last"}))
    assert job.request.parent == f"{job_id_in(secret)}-0"


async def test_what_is_age_restricted_stays_there(room: Room) -> None:
    ada = room.people.ada
    there = room.at(ada, room.late)
    picture = await room.paint(there)
    for text in (room.link(picture), job_id_in(picture)):
        await room.require_refused(await ada.slash("upscale", **{"from": text}), AgeRestrictedSourceError)
    offered = [each["value"] for each in await ada.autocomplete("upscale", focused="from")]
    assert f"{job_id_in(picture)}-0" not in offered
    job = await room.finish(await there.slash("upscale", **{"from": "last"}))
    assert job.status is Status.DONE


async def test_a_picture_from_an_upload_is_enlarged_by_its_uploader_only(room: Room) -> None:
    ada, bo = (room.at(each, room.late) for each in (room.people.ada, room.people.bo))
    asked = await ada.slash("img2img", image=Upload("a.png", png()), prompt="a sea", steps=1)
    made = await until_done(room.discord, asked)
    await room.require_refused(await bo.slash("upscale", **{"from": room.link(made)}), NotYourUploadError)
    job = await room.finish(await bo.slash("img2img", prompt="a storm", steps=1, **{"from": room.link(made)}))
    assert job.request.spec.files == {(await room.bot.jobs.fetch_job(job_id_in(made))).images[0].file_sha256}
    assert job.is_from_upload


async def test_messages_of_others(room: Room) -> None:
    ada, bo = room.people.ada, room.people.bo
    room.discord.application.privileged_intents = 0  # as where the operator has not asked Discord for more
    unread = ada.say("look", files=[Upload("p.png", png(200, 200))])
    await room.require_refused(await bo.slash("upscale", **{"from": room.link(unread)}), UnreadMessageError)
    late = room.at(ada, room.late)
    photo = late.say(f"{room.discord.application.bot.mention} look", files=[Upload("p.png", png(200, 200))])
    await room.require_refused(await bo.slash("upscale", **{"from": room.link(photo)}), AgeRestrictedSourceError)
    job = await room.finish(await room.at(bo, room.late).slash("upscale", **{"from": room.link(photo)}))
    assert (job.is_from_upload, job.status) == (True, Status.DONE)


async def test_deleted_and_erased_pictures_are_gone_and_a_restart_forgets_nothing(room: Room) -> None:
    ada = room.people.ada
    kept, deleted = await room.paint(ada), await room.paint(ada)
    await ada.click(deleted, "Delete")
    await room.discord.wait_for(lambda: deleted not in deleted.channel.messages)
    await room.require_refused(await ada.slash("upscale", **{"from": job_id_in(deleted)}), PictureDeletedError)
    await room.require_refused(await ada.slash("upscale", **{"from": room.link(deleted)}), UnknownJobError)
    await room.bot.stop()
    await room.bot.start()
    job = await room.finish(await ada.slash("upscale", **{"from": "last"}))
    assert job.request.parent == f"{job_id_in(kept)}-0"
    async with asyncio.timeout(60):
        await until_shown(room.discord, await ada.slash("privacy", what="delete", sure="DELETE"))
    await room.require_refused(await ada.slash("upscale", **{"from": "last"}), NoLastPictureError)
    await room.require_refused(await ada.slash("upscale", **{"from": job_id_in(kept)}), UnknownJobError)
