"""What begins with a picture, what is looked back on, and styles: every command and message menu, over the wire."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from cogs.common.errors import (
    MaskSizeError,
    NoSettingsError,
    NotAManagerError,
    OnePictureError,
    SeveralPicturesError,
)
from cogs.history._messages import NOT_FOUND
from cogs.recipe._messages import FOREIGN_SETTINGS, TITLE, UNKNOWN_TRACE
from cogs.settings._style_messages import NO_STYLES, STYLE_GONE
from db.stores.errors import UnknownStyleError
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser, Upload
from discord_sandbox.message_content import IS_COMPONENTS_V2
from discord_sandbox.message_service import MessageBody
from discord_sandbox.users import User
from generation.admission.errors import EnlargeSizeError
from generation.errors import UnknownJobError
from generation.images.codec import decode_png
from generation.images.errors import NotAPictureError
from generation.images.metadata import read_recipe, sign_png
from generation.images.region import draw_mask
from generation.jobs.job import Job, Status
from generation.requests.cost import image_cost
from generation.requests.errors import RecipeUnusableError
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, judged, until_done, until_shown
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
RED = "a red circle on a blue background"
SAMPLES = Path(__file__).resolve().parents[1] / "samples" / "0.1.0"


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot

    async def painted(self, **options: Any) -> Message:
        wanted = {"prompt": RED, "seed": 7, "steps": 2} | options
        return await until_done(self.discord, await self.people.ada.slash("imagine", **wanted))

    async def job_from(self, asked: Interaction) -> Job:
        await until_done(self.discord, asked)
        return await self.bot.job_of(asked)

    async def refusal(self, asked: Interaction) -> str:
        """What the person was told in private, before or after the acknowledgement."""
        if asked.ephemeral:
            return (await until_shown(self.discord, asked)).text
        await self.discord.wait_for(lambda: asked.followups)
        assert asked.followups[0].is_ephemeral
        return asked.followups[0].text


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        bot = LivingBot(discord, tmp_path_factory.mktemp("house"), blank_database)
        await bot.start()
        yield Harness(discord, people, bot)
        await bot.stop()


def png(width: int = 128, height: int = 128, **text: str) -> bytes:
    info = PngInfo()
    for keyword, value in text.items():
        info.add_text(keyword, value)
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


A1111 = png(parameters="a fox\nNegative prompt: dull\nSteps: 3, Sampler: Heun, CFG scale: 5, Seed: 99, Size: 512x512")
COMFY = png(
    prompt=json.dumps(
        {
            "1": {
                "class_type": "KSampler",
                "inputs": {"positive": ["2", 0], "negative": ["2", 0], "seed": 5, "steps": 2},
            },
            "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a green cat"}},
        }
    )
)
INVOKE = png(invokeai_metadata=json.dumps({"positive_prompt": "a bridge", "seed": 3, "steps": 2, "scheduler": "ddim"}))


# Commands.


async def test_img2img_takes_the_shape_of_the_picture(harness: Harness) -> None:
    asked = await harness.people.bo.slash(
        "img2img", image=Upload("wide.png", png(640, 360)), prompt="a sea", strength=0.5
    )
    job = await harness.job_from(asked)
    start = job.request.spec.start
    assert job.status is Status.DONE
    assert start is not None
    assert start.strength == 0.5
    assert job.request.spec.width_px > job.request.spec.height_px


async def test_inpaint_takes_a_mask_of_the_same_size_only(harness: Harness) -> None:
    picture = Upload("a.png", png(200, 200))
    wrong = await harness.people.bo.slash("inpaint", image=picture, mask=Upload("m.png", png(100, 100)), prompt="x")
    assert is_said(MaskSizeError, await harness.refusal(wrong), width=200, height=200)
    mask = Upload("m.png", draw_mask((0, 1, 2), (200, 200)))
    job = await harness.job_from(await harness.people.bo.slash("inpaint", image=picture, mask=mask, prompt="clouds"))
    assert job.status is Status.DONE
    assert job.request.spec.start is not None
    assert job.request.spec.start.mask_sha256 is not None
    drawn = Image.merge("LA", (Image.new("L", (200, 200), 255), Image.open(io.BytesIO(mask.data)).convert("L")))
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    strokes = Upload("m.png", buffer.getvalue())
    same = await harness.job_from(
        await harness.people.bo.slash("inpaint", image=picture, mask=strokes, prompt="clouds")
    )
    assert same.request.spec.start is not None
    assert same.request.spec.start.mask_sha256 == job.request.spec.start.mask_sha256, "white on nothing"


async def test_upscale_doubles_any_picture_and_says_what_it_cannot(harness: Harness) -> None:
    asked = await harness.people.bo.slash("upscale", image=Upload("my_holiday.png", png(200, 100)))
    message = await until_done(harness.discord, asked)
    assert (message.attachments[0].width, message.attachments[0].height) == (400, 192)
    assert "my holiday" in message.text
    for size in ((2000, 100), (40, 40)):
        refused = await harness.people.bo.slash("upscale", image=Upload("a.png", png(*size)))
        assert is_said(EnlargeSizeError, await harness.refusal(refused), width=size[0], height=size[1])
    nothing = await harness.people.bo.slash("upscale", image=Upload("a.txt", b"hello"))
    assert is_said(NotAPictureError, await harness.refusal(nothing))


@pytest.mark.parametrize(
    ("file", "tool", "prompt"),
    [(A1111, "A1111", "a fox"), (COMFY, "ComfyUI", "a green cat"), (INVOKE, "InvokeAI", "a bridge")],
)
async def test_settings_of_other_tools_are_shown_and_taken_over(
    harness: Harness, file: bytes, tool: str, prompt: str
) -> None:
    bo = harness.people.bo
    shown = await bo.slash("recipe", file=Upload("a.png", file))
    text = await harness.refusal(shown)
    assert is_said(FOREIGN_SETTINGS, text, tool=tool)
    assert prompt in text
    asked = await bo.slash("reproduce", file=Upload("a.png", file))
    job = await harness.job_from(asked)
    assert job.request.spec.prompt == prompt
    assert job.request.replay is None
    await harness.discord.wait_for(lambda: [each for each in asked.followups if tool in each.text])


async def test_a_trace_with_larger_forwards_is_followed_only_of_a_picture_made_here(harness: Harness) -> None:
    bo = harness.people.bo
    message = await harness.painted()
    posted = message.attachments[0].data
    recipe, (pixels, size_px) = read_recipe(posted), decode_png(posted)
    forged = replace(recipe, trace=f"16x{recipe.spec.num_evaluations}")
    asked = await bo.slash("reproduce", file=Upload("forged.png", sign_png(pixels, size_px, forged)))
    job = await harness.job_from(asked)
    assert (job.request.spec, job.request.replay) == (recipe.spec, None)
    assert job.images[0].charged == image_cost(recipe.spec)
    await harness.discord.wait_for(
        lambda: [each for each in asked.followups if is_said(UNKNOWN_TRACE, each.text)], timeout_s=30
    )
    job = await harness.job_from(await bo.slash("reproduce", file=Upload("real.png", posted)))
    assert job.request.replay is not None
    impossible = sign_png(pixels, size_px, replace(recipe, trace="16x600"))
    asked = await bo.slash("reproduce", file=Upload("impossible.png", impossible))
    assert is_said(RecipeUnusableError, await harness.refusal(asked))


async def test_a_file_of_an_earlier_release_is_shown_and_painted_again(harness: Harness) -> None:
    bo, data = harness.people.bo, (SAMPLES / "circle.png").read_bytes()
    text = (await until_shown(harness.discord, await bo.slash("recipe", file=Upload("circle.png", data)))).text
    assert "4294967295" in text
    assert "DPM++ 2M Karras" in text
    job = await harness.job_from(await bo.slash("reproduce", file=Upload("circle.png", data)))
    assert job.status is Status.DONE
    assert job.request.spec == read_recipe(data).spec


async def test_recipe_by_id_by_link_and_by_file(harness: Harness) -> None:
    message, bo = await harness.painted(), harness.people.bo
    link = f"https://discord.com/channels/{harness.people.guild.id}/{harness.people.general.id}/{message.id}"
    for options in (
        {"picture": job_id_in(message)},
        {"picture": link},
        {"file": Upload("a.png", message.attachments[0].data)},
    ):
        text = await harness.refusal(await bo.slash("recipe", **options))
        assert "Seed: 7" in text, options
        assert is_said(TITLE, text)
    assert is_said(OnePictureError, await harness.refusal(await bo.slash("recipe")))
    bare = await bo.slash("recipe", file=Upload("a.png", png()))
    assert is_said(NoSettingsError, await harness.refusal(bare))


async def test_styles_are_for_all_and_changed_by_managers(harness: Harness) -> None:
    guild, people = harness.people.guild, harness.people
    boss = harness.discord.act_as(guild.add_member("boss", permissions=int(Permission.MANAGE_GUILD)), people.general)
    assert is_said(NO_STYLES, await harness.refusal(await people.ada.slash("style list")))
    refused = await people.ada.slash("style add", name="ink", prompt="in ink")
    assert is_said(NotAManagerError, await harness.refusal(refused))
    added = await boss.slash("style add", name="ink", prompt="ink drawing of {prompt}", negative="colour")
    assert "ink drawing of" in await harness.refusal(added)
    offered = await people.ada.autocomplete("imagine", focused="style", value="in", prompt="x")
    assert [choice["value"] for choice in offered] == ["ink"]
    message = await harness.painted(style="ink")
    spec = (await harness.bot.jobs.fetch_job(job_id_in(message))).request.spec
    assert (spec.prompt, spec.negative) == (f"ink drawing of {RED}", "colour")
    unknown = await people.ada.forging.slash("imagine", prompt="x", style="oil")
    assert is_said(UnknownStyleError, await harness.refusal(unknown), known="ink")
    removed = await boss.slash("style remove", name="ink")
    assert is_said(STYLE_GONE, await harness.refusal(removed), name="ink")


async def test_history_is_searched_and_has_favourites_of_others(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    mine = [await harness.painted(prompt=f"a lighthouse {n}", steps=1) for n in range(4)]
    found = await until_shown(harness.discord, await ada.slash("history", search="LIGHTHOUSE"))
    assert [f"lighthouse {n}" in found.text for n in range(4)] == [False, True, True, True]
    await ada.click(found, "Older")
    await harness.discord.wait_for(lambda: "lighthouse 0" in found.text)
    await ada.click(found, "Newest")
    await harness.discord.wait_for(lambda: "lighthouse 3" in found.text)
    nothing = await until_shown(harness.discord, await ada.slash("history", search="submarine"))
    assert is_said(NOT_FOUND, nothing.text)
    await bo.click(mine[0], "Favourite")
    liked = await until_shown(harness.discord, await bo.slash("history", show="favourites"))
    assert "lighthouse 0" in liked.text
    assert (await bo.click(liked, "Open 1")).ephemeral
    stranger = harness.discord.act_as(harness.people.guild.add_member("kim"), harness.people.general)
    opened = await stranger.forging.click(liked, f"atelier:open:{job_id_in(mine[0])}")
    assert is_said(UnknownJobError, await harness.refusal(opened))
    long = await ada.slash("history", search="猫" * 20)
    assert "too long" in await harness.refusal(long)


# Message menus.


async def use(harness: Harness, who: ScriptedUser, message: Message, **filled: str) -> Interaction:
    opened = await who.context_menu("Use as start image", message)
    assert opened.modal is not None
    return await who.submit_modal(opened, {"prompt": "a storm", **filled})


async def test_any_picture_can_be_started_from(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    photo = bo.say("look", files=[Upload("photo.png", png(300, 200))])
    job = await harness.job_from(await use(harness, ada, photo))
    assert job.status is Status.DONE
    assert job.request.spec.prompt == "a storm"
    grid = await harness.painted(count=2)
    second = await harness.job_from(await use(harness, ada, grid, number="2", strength="0.3"))
    assert second.request.parent == f"{job_id_in(grid)}-1"
    assert second.request.spec.start is not None
    assert second.request.spec.start.strength == 0.3
    assert "a number from 1 to 2" in await harness.refusal(await use(harness, ada.forging, grid, number="7"))
    words = bo.say("no picture here")
    assert "holds no picture" in await harness.refusal(await ada.context_menu("Use as start image", words))


async def test_the_form_of_a_picture_that_is_not_ours_is_taken_after_a_restart_and_for_a_day(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    photo = bo.say("look", files=[Upload("photo.png", png(300, 200))])
    opened, late = [await ada.context_menu("Use as start image", photo) for _ in range(2)]
    await harness.bot.stop()
    await harness.bot.start()
    job = await harness.job_from(await ada.submit_modal(opened, {"prompt": "a storm"}))
    assert job.status is Status.DONE
    assert job.request.spec.start is not None
    harness.discord.clock.advance(24 * 3600)
    assert "too long ago" in await harness.refusal(await ada.submit_modal(late, {"prompt": "a storm"}))


async def test_recipe_and_upscale_in_the_menu(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    ours = await harness.painted()
    assert "Seed: 7" in await harness.refusal(await bo.context_menu("Show recipe", ours))
    theirs = ada.say("from another tool", files=[Upload("fox.png", A1111)])
    shown = await harness.refusal(await bo.context_menu("Show recipe", theirs))
    assert is_said(FOREIGN_SETTINGS, shown, tool="A1111")
    for message in (ours, theirs):
        job = await harness.job_from(await bo.context_menu("Upscale", message))
        assert job.request.spec.upscale is not None
        assert job.status is Status.DONE
    grid = await harness.painted(count=2)
    assert is_said(SeveralPicturesError, await harness.refusal(await bo.context_menu("Upscale", grid)))


def by_another_bot(harness: Harness, **body: Any) -> Message:
    """What another bot in the server wrote, with one picture as `attachment://shown.png`."""
    bot = User(harness.discord.world.make_id(), "gallery", is_bot=True)
    files = {0: Upload("shown.png", png(300, 200))}
    writer, channel = harness.people.ada.client.messages, harness.people.general
    flags = IS_COMPONENTS_V2 if "components" in body else 0
    return writer.post(writer.create(channel, bot, MessageBody(body | {"flags": flags}, files), size_limit=1 << 20))


MEDIA = {"media": {"url": "attachment://shown.png"}}
HELD: dict[str, dict[str, Any]] = {
    "an embed": {"embeds": [{"title": "a", "image": {"url": "attachment://shown.png"}}]},
    "an embed's small picture": {"embeds": [{"title": "a", "thumbnail": {"url": "attachment://shown.png"}}]},
    "a gallery": {"components": [{"type": 12, "items": [MEDIA]}]},
    "a file": {"components": [{"type": 13, "file": {"url": "attachment://shown.png"}}]},
    "a section in a container": {
        "components": [
            {
                "type": 17,
                "components": [
                    {"type": 9, "components": [{"type": 10, "content": "a"}], "accessory": {"type": 11} | MEDIA}
                ],
            }
        ]
    },
}


@pytest.mark.parametrize("is_forwarded", [False, True])
@pytest.mark.parametrize("how", HELD)
async def test_a_picture_is_in_a_message_however_it_is_shown(harness: Harness, how: str, is_forwarded: bool) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    message = by_another_bot(harness, **HELD[how])
    if is_forwarded:
        message = bo.forward(message)
    job = await harness.job_from(await ada.context_menu("Upscale", message))
    assert job.status is Status.DONE
    assert job.request.spec.result_size_px == (592, 400)
    if how == "a gallery":
        start = await use(harness, ada, message, prompt="a storm", strength="0.5")
        assert (await harness.job_from(start)).request.spec.start is not None


async def test_a_forwarded_message_is_a_picture_of_its_own(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    photo = bo.say("look", files=[Upload("fox.png", A1111)])
    forwarded = bo.forward(photo)
    shown = await harness.refusal(await ada.context_menu("Show recipe", forwarded))
    assert is_said(FOREIGN_SETTINGS, shown, tool="A1111")
    ours = bo.forward(await harness.painted())
    assert "Seed: 7" in await harness.refusal(await bo.context_menu("Show recipe", ours))
    words = bo.forward(bo.say("no picture here"))
    assert "holds no picture" in await harness.refusal(await ada.context_menu("Use as start image", words))


async def test_pictures_of_other_sites_are_no_reason_to_go_there(harness: Harness) -> None:
    asked = harness.people.ada.context_menu
    for url in (
        "https://example.com/a.png",
        "http://127.0.0.1:1/a.png",
        "https://cdn.discordapp.com@example.com/a.png",
    ):
        message = by_another_bot(harness, embeds=[{"title": "a", "image": {"url": url}}])
        message.attachments.clear()
        message.embeds[0]["image"] |= {"width": 64, "height": 64}
        assert "holds no picture" in await harness.refusal(await asked("Upscale", message))


async def test_twice_at_once_is_two(harness: Harness) -> None:
    photo, ada = Upload("a.png", png()), harness.people.ada
    both = await asyncio.gather(*(ada.slash("img2img", image=photo, prompt="a sea") for _ in range(2)))
    assert len({(await harness.job_from(asked)).id for asked in both}) == 2


async def test_every_picture_has_words_for_those_who_cannot_see_it(harness: Harness) -> None:
    message = await harness.painted(count=4)
    galleries = [each for each in message.list_components() if each["type"] == 12]
    told = [item["description"] for gallery in galleries for item in gallery["items"]]
    assert told == [f"{number} of 4: {RED}" for number in range(1, 5)]


async def test_commands_are_offered_in_servers_and_direct_messages_to_servers_that_have_the_bot(
    harness: Harness,
) -> None:
    """docs/decisions: not for accounts that installed the bot for themselves."""
    for command in harness.discord.commands:
        assert command["integration_types"] == [0]
        contexts: Any = command["contexts"]
        assert 2 not in contexts
