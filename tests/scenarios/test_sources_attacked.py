"""Attacks on pictures that others are made from: forbidden, hidden, damaged, deleted and forged ones, over the wire."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from cogs.common.errors import OptionFileError
from cogs.error_handler import UNEXPECTED
from discord_sandbox import Interaction, Permission, Sandbox, Upload
from discord_sandbox.interactions import COMMAND
from generation.errors import UnknownJobError
from generation.images.errors import PictureDamagedError, PictureSizeError
from generation.images.region import draw_mask
from generation.jobs.job import Job, Status
from generation.models.catalog import PAINTBOX, Catalog
from generation.models.controls import ControlFile
from generation.models.ip_adapters import IpAdapterFile
from generation.policy.errors import NoStartImageRoleError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.defaults import DefaultOverrides
from generation.requests.origin import STEPS, Origin
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, judged, until_done, until_shown
from tests.scenarios.test_from_pictures import png
from tests.scenarios.test_settings_of_a_server import told
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
EDITOR, OTHER = "editor", "other-editor"
SEA, HIDDEN = Upload("sea.png", png(128, 128)), Upload("SPOILER_sea.png", png(128, 128))
NOW: dict[str, Any] = {"prompt": "a storm", "steps": 1}
EDIT: dict[str, Any] = {"what": "make it snow", "steps": 1, "model": EDITOR}


@dataclass
class Room:
    discord: Sandbox
    people: People
    bot: LivingBot

    def files(self) -> set[str]:
        return {path.stem for path in (self.bot.data_dir / "pictures").rglob("*.png")}

    async def choose(self, **choices: Any) -> None:
        guild_id = self.people.guild.id
        await self.bot.choose(GuildSettings(guild_id=guild_id, choices=GuildPreferences(**choices)))

    async def refusal(self, asked: Interaction) -> str:
        """What the person alone reads. Nothing is left of what came with the request."""
        text = (await told(self.discord, asked)).text
        assert await self.bot.jobs.fetch_unfinished() == []
        return text

    async def ended(self, asked: Interaction) -> Job:
        await until_done(self.discord, asked)
        job = await self.bot.job_of(asked)
        assert job.status is Status.DONE, job.images
        return job


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path) -> AsyncIterator[Room]:
    """A bot whose painting is light, so that the weights of what it offers do not matter."""
    usual = Catalog.open(PAINTBOX).default
    looks = IpAdapterFile(name="looks", path=Path("looks"), encoder=Path("encoder"), sha256="c" * 64)
    edges = ControlFile(name="edges", path=Path("edges"), sha256="a" * 64, family="sd")
    editor = replace(usual, name=EDITOR, family="klein", defaults=replace(usual.defaults, sampler="Euler"))
    models = replace(usual, ip_adapters=(looks,), controls=(edges,)), editor, replace(editor, name=OTHER)
    async with judged(tally) as discord:
        people = People.settle(discord)
        bot = LivingBot(discord, tmp_path_factory.mktemp("sources"), blank_database, models=models)
        await bot.start()
        yield Room(discord, people, bot)
        await bot.stop()


async def test_a_picture_of_ours_beside_it_lets_no_upload_through(room: Room) -> None:
    """The server says who may start from pictures of their own; one of ours is open to all, and so is a mask."""
    bo, painted = room.people.bo, await room.ended(await room.people.bo.slash("imagine", **NOW))
    await room.choose(start_image_role_ids=(room.people.guild.add_role("painters").id,))
    ours, before = f"{painted.id}-0", room.files()
    for asked in (
        await bo.slash("imagine", image=SEA, reference_from=ours, **NOW),
        await bo.slash("imagine", reference=SEA, **NOW, **{"from": ours}),
        await bo.slash("edit", image2=SEA, **EDIT, **{"from": ours}),
        await bo.slash("control", net="edges", net2="edges", image2=SEA, **NOW, **{"from": ours}),
    ):
        assert is_said(NoStartImageRoleError, await room.refusal(asked))
    assert room.files() == before
    mask = Upload("mask.png", draw_mask((0, 1), painted.images[0].spec.result_size_px))
    seen = await room.ended(await bo.slash("imagine", reference_from=ours, **NOW, **{"from": ours}))
    assert seen.request.spec.image_prompt and seen.request.parent == ours
    await room.ended(await bo.slash("inpaint", mask=mask, **NOW, **{"from": ours}))
    await room.choose()


async def test_what_is_made_of_a_hidden_picture_is_hidden(room: Room) -> None:
    """Whoever attached it, wherever it is named; `spoiler: False` says otherwise."""
    ada, bo = room.people.ada, room.people.bo
    again = {"from": (await room.ended(await ada.slash("imagine", spoiler=True, **NOW))).images[0].id}
    photo = ada.say("look", files=[HIDDEN])
    opened = [await bo.context_menu(name, photo) for name in ("Use as start image", "Use as start image")]
    for asked in (
        await ada.slash("edit", image=SEA, image3=HIDDEN, **EDIT),
        await ada.slash("edit", image2=SEA, **EDIT, **again),
        await ada.slash("imagine", reference=HIDDEN, **NOW),
        await ada.slash("imagine", reference_from=again["from"], **NOW),
        await ada.slash("img2img", image=HIDDEN, **NOW),
        await ada.slash("control", image=SEA, net="edges", net2="edges", image2=HIDDEN, **NOW),
        await bo.submit_modal(opened[0], {"prompt": "a storm"}),
        await bo.submit_modal(opened[1], {"prompt": "make it snow", "use": "edit"}),
        await bo.context_menu("Upscale", photo),
    ):
        assert (await room.ended(asked)).request.is_spoiler is True
    for asked in (
        await ada.slash("edit", image=HIDDEN, spoiler=False, **EDIT),
        await ada.slash("imagine", reference_from=again["from"], spoiler=False, **NOW),
        await ada.slash("upscale", image=HIDDEN, spoiler=False),
    ):
        assert (await room.ended(asked)).request.is_spoiler is not True


def a_jpeg(mode: str, **options: Any) -> Upload:
    buffer = io.BytesIO()
    Image.new(mode, (120, 60)).save(buffer, "JPEG", **options)
    return Upload("image.jpg", buffer.getvalue())


async def test_of_several_pictures_the_one_at_fault_is_named(room: Room) -> None:
    """What is pasted is always called image.png, so the option is what tells them apart."""
    ada, before = room.people.ada, room.files()
    cut_short, speck = Upload("image.png", SEA.data[:-40]), Upload("image.png", png(1, 1))
    given = {"image": SEA, "image2": SEA, "image4": SEA}
    said = await room.refusal(await ada.slash("edit", image3=cut_short, **given, **EDIT))
    assert is_said(OptionFileError, said, option="image3") and is_said(PictureDamagedError, said)
    said = await room.refusal(await ada.slash("imagine", image=SEA, reference=speck, **NOW))
    assert is_said(OptionFileError, said, option="reference") and is_said(PictureSizeError, said)
    assert room.files() == before
    exif = Image.Exif()
    exif[0x0112] = 6
    frames, deep = io.BytesIO(), io.BytesIO()
    Image.new("P", (64, 64)).save(frames, "PNG", save_all=True, append_images=[Image.new("P", (64, 64), 3)])
    Image.new("I;16", (90, 90), 40_000).save(deep, "PNG")
    odd = {
        "image": a_jpeg("RGB", exif=exif, icc_profile=b"cut short"),
        "image2": Upload("image.png", frames.getvalue()),
        "image3": a_jpeg("CMYK"),
        "image4": Upload("image.png", deep.getvalue()),
    }
    job = await room.ended(await ada.slash("edit", **odd, **EDIT))
    first, *_, last = job.request.spec.references
    assert first.width_px < first.height_px, "as people see it"
    twice = await room.ended(await ada.slash("edit", image=odd["image4"], image2=odd["image4"], **EDIT))
    assert twice.request.spec.references == (last, last)


async def test_the_menu_edits_with_what_the_server_chose_and_allows(room: Room) -> None:
    ada, bo = room.people.ada, room.people.bo
    painted = await until_done(room.discord, await ada.slash("edit", image=SEA, **EDIT))
    recipe = await told(room.discord, await ada.click(painted, "Recipe"))
    assert recipe.text.partition("```")[0].count(EDITOR) == 1, recipe.text
    await room.choose(models=(PAINTBOX, OTHER), model_defaults={OTHER: DefaultOverrides(steps=3)})
    opened = await ada.context_menu("Use as start image", painted)
    job = await room.ended(await ada.submit_modal(opened, {"prompt": "make it rain", "use": "edit"}))
    assert (job.request.spec.model, job.request.spec.steps) == (OTHER, 3), "the one that painted it may not be used"
    assert job.request.chosen_by and job.request.chosen_by[STEPS] is Origin.SERVER
    opened = await bo.context_menu("Use as start image", ada.say("look", files=[SEA]))
    job = await room.ended(await bo.submit_modal(opened, {"prompt": "make it rain", "use": "edit"}))
    assert (job.request.spec.model, job.request.spec.steps) == (OTHER, 3)
    await room.choose()


async def test_what_a_waiting_request_needs_outlives_the_message_it_came_with(room: Room) -> None:
    ada, hill, cliff = room.people.ada, Upload("hill.png", png(64, 96)), Upload("cliff.png", png(64, 72))
    earlier = await until_done(room.discord, await ada.slash("edit", image=hill, **EDIT))
    await room.bot.hold_painting()
    asked = await ada.slash("edit", image=hill, image2=cliff, **EDIT)
    await until_shown(room.discord, asked)
    await ada.click(earlier, button_of(earlier, "delete"))
    await room.discord.wait_for(lambda: earlier.is_deleted)
    room.bot.go_on_painting()
    job = await room.ended(asked)
    assert job.request.spec.files <= room.files()
    await room.bot.hold_painting()
    waiting = await ada.slash("imagine", image=cliff, reference=hill, **NOW)
    await until_shown(room.discord, waiting)
    given = (await room.bot.job_of(waiting)).request.spec.files | job.request.spec.files
    assert given <= room.files()
    erased = await ada.slash("privacy", what="delete", sure="DELETE")
    room.bot.go_on_painting()
    await told(room.discord, erased)
    assert not (await until_done(room.discord, waiting)).attachments and not given & room.files()
    assert await room.bot.jobs.fetch_unfinished() == []


async def test_no_option_takes_a_picture_that_the_member_cannot_see(room: Room) -> None:
    """Of another server, or of a channel that is closed to them: not even its existence shows."""
    guild, bo, mo = room.people.guild, room.people.bo, room.people.mo
    den = room.discord.add_guild("Lair").add_channel("den")
    stranger = room.discord.act_as(den.guild.add_member("mallory"), den)
    closet = guild.add_channel("closet")
    secret = (await room.ended(await room.discord.act_as(guild.members[mo.user.id], closet).slash("imagine", **NOW))).id
    closet.set_overwrite(guild.members[bo.user.id], deny=int(Permission.VIEW_CHANNEL))
    for who in (stranger, bo):
        for asked in (
            await who.slash("edit", **EDIT, **{"from": f"{secret}-0"}),
            await who.slash("imagine", reference_from=f"{secret}-0", **NOW),
            await who.slash("control", net="edges", **NOW, **{"from": secret}),
        ):
            assert is_said(UnknownJobError, await room.refusal(asked))


async def test_forged_options_are_answered(room: Room) -> None:
    """Options that are missing, too long or of another type."""
    forging, before = room.people.ada.forging, room.files()
    head, _ = forging._build_command_data("edit", {"image": SEA, "what": "make it snow"}, focused=None)
    file, what = head["options"] if head["options"][0]["name"] == "image" else reversed(head["options"])
    for options in (
        [],
        [what],
        [file],
        [file, what | {"value": "x" * 5000}],
        [file, what, what | {"name": "model", "value": "x" * 5000}],
        [file, what, what | {"name": "steps", "value": "many"}],
        [file, what, what | {"name": "aspect", "value": {"a": []}}],
    ):
        text = await room.refusal(await forging._send(COMMAND, head | {"options": options}, command_name="edit"))
        assert not is_said(UNEXPECTED, text), options
    assert room.files() == before
