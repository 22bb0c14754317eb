"""Each button, walked over the wire: by its owner, by another member, twice at once, on a deleted job, and after a
restart twenty minutes later. One bot for all of them; only the restart builds another.
"""

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

from cogs.common.errors import MaskSizeError, NotANumberError, NotAWholeNumberError, PartsOrMaskError
from cogs.common.messages import Action
from cogs.error_handler import STRAY_BUTTON
from cogs.registered import load_offline_bot
from cogs.results import DONE
from cogs.results._messages import IDENTICAL, NOTHING_TO_CANCEL
from discord_sandbox import Interaction, Message, Sandbox, ScriptedUser, Upload
from generation.errors import InvalidRequestError
from generation.images.codec import decode_png
from generation.images.region import draw_mask
from generation.jobs.errors import PictureDeletedError
from generation.jobs.job import Job, Status
from generation.models.catalog import Catalog
from generation.policy.guild_preferences import GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from generation.requests.errors import (
    EmptyPromptError,
    NumberNotAboveError,
    NumberOutOfRangeError,
    OutOfRangeError,
    UnknownLoraError,
)
from generation.requests.prompt_addons import PromptAddon
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, judged, until_done, until_shown
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
RED = "a red circle on a blue background"
PICTURES = [Action.UPSCALE, Action.VARY, Action.STRONG, Action.DETAIL, Action.ZOOM_HALF, Action.ZOOM, Action.REPRODUCE]
WISHES = [Action.REROLL]
FILLED_IN = [Action.REMIX, Action.REGION]
PRIVATE = [Action.RECIPE, Action.FAVOURITE, Action.TELL]
STOPPING = [Action.CANCEL, Action.DELETE]
PAINTING = [*PICTURES, *WISHES, *FILLED_IN]
WITHOUT_THE_FILE = [Action.VARY, Action.STRONG, Action.DETAIL, Action.REPRODUCE, Action.REROLL, Action.REMIX]
"""What can be done with a recipe alone, after the pictures were deleted."""


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot

    async def painted(self) -> Message:
        return await until_done(self.discord, await self.people.ada.slash("imagine", prompt=RED, seed=7, steps=2))

    async def job_from(self, pressed: Interaction) -> Job:
        """The job that a press (or the form it opened) became, when it has ended."""
        await until_done(self.discord, pressed)
        return await self.bot.job_of(pressed)


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


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def old_message(harness: Harness) -> Message:
    """A message from before a restart, twenty minutes ago."""
    message = await harness.painted()
    await harness.bot.stop()
    harness.discord.clock.advance(20 * 60)
    await harness.bot.start()
    return message


async def press(who: ScriptedUser, message: Message, action: Action) -> Interaction:
    """Press it wherever it is: among the buttons, or in the menu; and send the form that it opens."""
    job_id = job_id_in(message)
    subject = f"{job_id}:0" if action in (*PICTURES, Action.REGION) else job_id
    custom_id = f"atelier:{action}:{subject}"
    if custom_id in [button.get("custom_id") for button in message.buttons] or action in STOPPING:
        pressed = await who.click(message, custom_id)
    else:
        pressed = await who.select(message, f"atelier-menu:{job_id}", [custom_id])
    if pressed.modal is None:
        return pressed
    filled = {"cells": ["4", "5"], "prompt": "a blue square"} if action is Action.REGION else {"prompt": "a fox"}
    return await who.submit_modal(pressed, filled)


OFFLINE = load_offline_bot()


async def test_the_table_above_leaves_out_no_button() -> None:
    walked = {*PAINTING, *PRIVATE, *STOPPING}
    # Walked in the tests of their own features, such as test_ten_at_once and test_long_lists.
    elsewhere = {Action.PAGE, Action.OPEN, Action.HISTORY, Action.START, Action.STYLE, Action.PURGE, Action.PICTURE}
    elsewhere |= {Action.ORIGINALS, Action.ALT, Action.LIST, Action.SHARE, Action.UNSHARE, Action.REPORT, Action.GUIDE}
    assert walked | elsewhere == {*OFFLINE.button_handlers, *OFFLINE.form_handlers, Action.PAGE}


@pytest.mark.parametrize("action", PAINTING)
@pytest.mark.parametrize("name", ["ada", "bo"])
async def test_whoever_presses_is_served_and_charged(harness: Harness, action: Action, name: str) -> None:
    who: ScriptedUser = getattr(harness.people, name)
    message = await harness.painted()
    job = await harness.job_from(await press(who, message, action))
    assert job.status is Status.DONE
    assert job.owner.user_id == who.user.id
    assert all(image.charged > 0 for image in job.images)
    if action not in WISHES:
        assert (job.request.parent or "").startswith(job_id_in(message))


@pytest.mark.parametrize("action", PRIVATE)
@pytest.mark.parametrize("name", ["ada", "bo"])
async def test_what_concerns_one_is_told_to_one(harness: Harness, action: Action, name: str) -> None:
    who: ScriptedUser = getattr(harness.people, name)
    message = await harness.painted()
    pressed = await press(who.forging if action is Action.TELL else who, message, action)
    assert pressed.ephemeral


async def test_who_wants_to_be_told_is_told_once_it_is_done(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    asked = await ada.slash("imagine", prompt="slow-image", steps=8)
    message = await until_shown(harness.discord, asked)
    assert (await press(bo, message, Action.TELL)).ephemeral
    assert (await press(bo, message, Action.TELL)).ephemeral
    await until_done(harness.discord, asked)

    def told() -> list[Message]:
        return [each for each in harness.people.general.messages if each.content.startswith(f"<@{bo.user.id}>")]

    await harness.discord.wait_for(told)
    assert len(told()) == 1
    assert told()[0].reference is message
    assert told()[0].allowed_mentions is not None
    assert told()[0].allowed_mentions["users"] == [str(bo.user.id)] or told()[0].allowed_mentions["users"] == [
        bo.user.id
    ]


async def test_where_results_are_private_the_word_that_they_are_done_is_too(harness: Harness) -> None:
    bot, guild_id, ada = harness.bot, harness.people.guild.id, harness.people.ada
    private = GuildSettings(guild_id=guild_id, choices=GuildPreferences(visibility=Visibility.PRIVATE))
    await bot.choose(private)
    num_public = len(harness.people.general.messages)
    asked = await ada.slash("imagine", prompt="slow-image", steps=8)
    message = await until_shown(harness.discord, asked)
    await press(ada, message, Action.TELL)
    own = harness.discord.act_as(ada.user)
    await harness.discord.wait_for(
        lambda: [each for each in own.list_visible_messages() if is_said(DONE, each.content)]
    )
    new = harness.people.general.messages[num_public:]
    await bot.choose(GuildSettings(guild_id=guild_id))
    assert all(each.is_ephemeral for each in new)


async def test_a_favourite_is_ones_own_and_turns_off(harness: Harness) -> None:
    message = await harness.painted()
    job_id, bo = job_id_in(message), harness.people.bo
    await press(bo, message, Action.FAVOURITE)
    assert await harness.bot.services.history.is_favourite(job_id, bo.user.id)
    assert not await harness.bot.services.history.is_favourite(job_id, harness.people.ada.user.id)
    await press(bo, message, Action.FAVOURITE)
    assert not await harness.bot.services.history.is_favourite(job_id, bo.user.id)


@pytest.mark.parametrize("action", [*PAINTING, Action.RECIPE, Action.FAVOURITE])
async def test_twice_within_a_moment_is_two_of_it_and_no_more(harness: Harness, action: Action) -> None:
    message, ada = await harness.painted(), harness.people.ada
    both = await asyncio.gather(press(ada, message, action), press(ada, message, action))
    assert all(pressed.acknowledged for pressed in both)
    if action in PAINTING:
        assert len({(await harness.job_from(pressed)).id for pressed in both}) == 2
    else:
        assert all(pressed.ephemeral for pressed in both)


@pytest.mark.parametrize("action", [*PAINTING, *PRIVATE, *STOPPING])
async def test_on_a_deleted_job_each_does_what_can_be_done_or_says_why_not(harness: Harness, action: Action) -> None:
    message, ada = await harness.painted(), harness.people.ada
    await press(ada, message, Action.DELETE)
    await harness.discord.wait_for(lambda: message.is_deleted)
    pressed = await press(ada.forging, message, action)
    assert pressed.acknowledged
    if action in WITHOUT_THE_FILE:
        assert (await harness.job_from(pressed)).status is Status.DONE
        return
    if action is Action.DELETE:
        return  # nothing is left to do, and nothing is said
    assert pressed.ephemeral
    assert pressed.original_message is not None
    assert "Incident" not in pressed.original_message.text
    if action not in PRIVATE:
        text = pressed.original_message.text
        kinds = (PictureDeletedError, NOTHING_TO_CANCEL, STRAY_BUTTON)
        assert any(is_said(kind, text) for kind in kinds)


@pytest.mark.parametrize("action", [*PAINTING, Action.RECIPE, Action.FAVOURITE])
async def test_after_a_restart_and_twenty_minutes_nothing_has_died(
    harness: Harness, old_message: Message, action: Action
) -> None:
    pressed = await press(harness.people.bo, old_message, action)
    if action in PAINTING:
        assert (await harness.job_from(pressed)).status is Status.DONE
    else:
        assert pressed.ephemeral


async def answers_about(harness: Harness, who: ScriptedUser, command: str, job_id: str) -> None:
    """`/recipe` and `/reproduce` name a picture, as buttons do, so they are walked through the same situations."""
    asked = await who.slash(command, picture=job_id)
    if command == "reproduce":
        assert (await harness.job_from(asked)).status is Status.DONE
        assert asked.original_message is not None
        assert is_said(IDENTICAL, asked.original_message.text)
    else:
        assert asked.ephemeral
        assert RED in (await until_shown(harness.discord, asked)).text


@pytest.mark.parametrize("command", ["recipe", "reproduce"])
async def test_a_command_about_a_picture_in_every_situation(
    harness: Harness, old_message: Message, command: str
) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    await answers_about(harness, ada, command, job_id_in(old_message))  # after a restart, twenty minutes later
    message = await harness.painted()
    job_id = job_id_in(message)
    await answers_about(harness, bo, command, job_id)  # by another member
    await asyncio.gather(*(answers_about(harness, ada, command, job_id) for _ in range(2)))  # twice at once
    await press(ada, message, Action.DELETE)
    await harness.discord.wait_for(lambda: message.is_deleted)
    await answers_about(harness, ada, command, job_id)  # on a deleted job: its recipe is all that is needed


async def test_the_same_can_be_chosen_from_the_menu_once_more(harness: Harness) -> None:
    """Discord's client sends a choice it shows already only after the message has changed, so it is: to what it was."""
    message, ada = await harness.painted(), harness.people.ada
    job_id, before = job_id_in(message), message.revisions
    files, menus = [file.id for file in message.attachments], shape(message)
    for number, action in enumerate((Action.REPRODUCE, Action.REGION), start=1):
        await ada.select(message, f"atelier-menu:{job_id}", [f"atelier:{action}:{job_id}:0"])
        await harness.discord.wait_for(lambda number=number: message.revisions == before + number)
        assert shape(message) == menus
        assert [file.id for file in message.attachments] == files
    gallery = next(each for each in message.list_components() if each["type"] == 12)
    assert [item["media"]["attachment_id"] for item in gallery["items"]] == [str(each) for each in files]


def shape(message: Message) -> list[object]:
    """What a message is made of, without the numbers that Discord gives each part anew."""
    told = ("type", "content", "custom_id", "label", "options", "placeholder", "accent_color", "description")
    return [[each.get(key) for key in told] for each in message.list_components()]


async def test_a_form_that_was_opened_before_a_restart_is_taken_after_it(harness: Harness) -> None:
    message, ada = await harness.painted(), harness.people.ada
    opened = await ada.click(message, "Remix")
    await harness.bot.stop()
    await harness.bot.start()
    job = await harness.job_from(await ada.submit_modal(opened, {"prompt": "a green square", "seed": "7"}))
    assert (job.request.spec.prompt, job.request.spec.seed) == ("a green square", 7)


async def test_a_form_of_an_earlier_version_had_typed_numbers_and_is_still_read(harness: Harness) -> None:
    message, ada = await harness.painted(), harness.people.ada
    opened = await ada.click(message, "Remix")
    sent = await ada.forging.submit_modal(opened, {"guidance": "4,5", "seed": "5", "strength": "0,5"})
    spec = (await harness.job_from(sent)).request.spec
    assert (spec.guidance, spec.seed) == (4.5, 5)
    assert spec.start is not None and spec.start.strength == 0.5


@pytest.mark.parametrize(
    ("filled", "kind"),
    [
        ({"guidance": "much"}, NotANumberError),
        ({"guidance": "nan"}, NumberOutOfRangeError),
        ({"seed": "-1"}, NotAWholeNumberError),
        ({"seed": "4294967296"}, OutOfRangeError),
        ({"strength": "1e9"}, NumberNotAboveError),
        ({"prompt": "\u200b"}, EmptyPromptError),
    ],
)
async def test_a_form_filled_in_wrongly_is_refused_in_private(
    harness: Harness, filled: dict[str, str], kind: type[InvalidRequestError]
) -> None:
    opened = await harness.people.ada.click(await harness.painted(), "Remix")
    sent = await harness.people.ada.forging.submit_modal(opened, filled)
    assert sent.ephemeral
    assert sent.original_message is not None
    assert is_said(kind, sent.original_message.text)


def chosen_in(field: dict[str, Any]) -> str | None:
    """Return what a form's field shows when it opens: its text, or the choice that is set."""
    chosen = [option["value"] for option in field.get("options", ()) if option.get("default")]
    return chosen[0] if chosen else field.get("value")


async def test_a_remix_starts_with_what_was_and_may_start_from_the_picture(harness: Harness) -> None:
    message, ada = await harness.painted(), harness.people.ada
    opened = await ada.click(message, "Remix")
    assert opened.modal is not None
    fields = {line["component"]["custom_id"]: chosen_in(line["component"]) for line in opened.modal["components"]}
    assert fields == {"prompt": RED, "negative": None, "guidance": "3.5", "seed": "7", "strength": "none"}
    job = await harness.job_from(await ada.submit_modal(opened, {"strength": "0.5", "negative": "-"}))
    assert job.request.spec.start is not None and job.request.spec.negative == ""
    assert job.request.spec.start.strength == 0.5


async def test_a_form_shows_the_lora_and_reads_them_again(harness: Harness, tmp_path: Path) -> None:
    ada, generation = harness.people.ada, harness.bot.generation
    lora = "ink"
    extra = PromptAddon(name=lora, path=tmp_path / "ink.safetensors", sha256="a" * 64)
    generation.catalog = Catalog((replace(generation.catalog.default, loras=(extra,)),))
    asked = await ada.slash("imagine", prompt=f"{RED} <lora:{lora}:0.5>", seed=7, steps=2)
    message = await until_done(harness.discord, asked)
    opened = await ada.click(message, "Remix")
    assert f'"{RED} <lora:{lora}:0.5>"' in json.dumps(opened.modal)
    same = await harness.job_from(await ada.submit_modal(opened, {}))
    assert [str(each) for each in same.request.spec.adapters] == [f"<lora:{lora}:0.5>"]
    other = await harness.job_from(await ada.submit_modal(await ada.click(message, "Remix"), {"prompt": "a fox"}))
    assert other.request.spec.adapters == ()
    wrong = await ada.submit_modal(await ada.click(message, "Remix"), {"prompt": "a fox <lora:nope>"})
    assert wrong.original_message is not None
    assert is_said(UnknownLoraError, wrong.original_message.text, name="nope")


async def test_a_region_needs_parts_or_a_mask_of_the_right_size(harness: Harness) -> None:
    message, ada = await harness.painted(), harness.people.ada
    menu, value = f"atelier-menu:{job_id_in(message)}", f"atelier:region:{job_id_in(message)}:0"
    opened = await ada.select(message, menu, [value])
    neither = await ada.submit_modal(opened, {})
    assert neither.original_message is not None
    assert is_said(PartsOrMaskError, neither.original_message.text)
    small = await ada.select(message, menu, [value])
    wrong = await ada.submit_modal(small, {"mask": Upload("mask.png", draw_mask((0,), (64, 64)))})
    assert wrong.original_message is not None
    assert is_said(MaskSizeError, wrong.original_message.text, width=128, height=128)
    again = await ada.select(message, menu, [value])
    grey = Image.open(io.BytesIO(draw_mask((0,), (128, 128)))).convert("L").point([64] * 128 + [192] * 128)
    buffer = io.BytesIO()
    grey.save(buffer, "PNG")
    right = await ada.submit_modal(again, {"mask": Upload("mask.png", buffer.getvalue())})
    job = await harness.job_from(right)
    assert job.status is Status.DONE
    assert job.request.spec.start is not None
    assert job.request.spec.start.mask_sha256 is not None
    assert job.request.spec.start.cells == ()
    kept = harness.bot.generation.files.get(job.request.spec.start.mask_sha256)
    assert kept is not None and set(decode_png(kept)[0]) == {0, 255}, "a mask is black and white"


async def test_a_recipe_shows_parents_and_children(harness: Harness) -> None:
    first, ada = await harness.painted(), harness.people.ada
    zoomed = await until_done(harness.discord, await press(ada, first, Action.ZOOM_HALF))
    large = await until_done(harness.discord, await press(ada, zoomed, Action.UPSCALE))
    recipe = await until_shown(harness.discord, await press(ada, zoomed, Action.RECIPE))
    parents, children = (
        next(line for line in recipe.text.split("\n") if word in line) for word in ("**Parent** ", "**Child** ")
    )
    here = f"https://discord.com/channels/{harness.people.guild.id}/{harness.people.general.id}"
    assert f"[painted]({here}/{first.id})" in parents
    assert f"[enlarged]({here}/{large.id})" in children
