"""/imagine from the command to the finished pictures."""

from __future__ import annotations

import asyncio
import time

import pytest

from cogs.common.errors import CannotPostError
from cogs.common.formatting import SEED, SEEDS
from cogs.error_handler import UNEXPECTED
from cogs.imagine._messages import ROUNDED
from cogs.results._messages import NUM_DONE, UNKNOWN_WORDS, WAITING
from discord_sandbox import Message, Permission, Sandbox, Upload
from generation.admission.errors import AspectOrSizeError
from generation.errors import AtelierError, FailedError, QueueFullError, UnknownModelError, WithheldError
from generation.images.codec import encode_png
from generation.images.errors import NotAPictureError
from generation.jobs.job import Status
from generation.models.errors import SizeFormatError, SizeTooLargeError
from generation.requests.errors import EmptyPromptError
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown
from tests.tally import Tally

MAX_ACK_S = 3.0
"""Discord's limit."""
RED = "a red circle on a blue background"


def record(discord: Sandbox) -> list[str]:
    """Every text any message ever shows from now on."""
    seen: list[str] = []

    def look(message: Message | None) -> None:
        if message is not None and (not seen or seen[-1] != message.text):
            seen.append(message.text)

    discord.world.subscribe(lambda change: look(change.message))
    return seen


async def test_from_command_to_picture(discord: Sandbox, people: People, bot: LivingBot) -> None:
    seen = record(discord)
    asked = await people.ada.slash("imagine", prompt=RED, seed=7)
    assert asked.response_type == 5
    message = await until_done(discord, asked)
    assert any(is_said(WAITING, text) or "%" in text for text in seen), "progress was shown"
    assert RED in message.text
    assert is_said(SEED, message.text, seed=7)
    assert [file.filename for file in message.attachments] == ["a-red-circle-on-a-blue-background-1.png"]
    assert message.attachments[0].description == RED
    labels = [button["label"] for button in message.buttons]
    assert labels == ["Upscale", "Vary", "Reroll", "Remix", "Recipe", "Favourite", "Delete"]
    assert len(people.general.messages) == 1
    job = await bot.job_of(asked)
    assert job.images[0].recipe is not None
    assert bot.generation.files.get(job.images[0].file_sha256 or "") == message.attachments[0].data


async def test_progress_has_a_place_then_a_bar_and_a_preview(discord: Sandbox, people: People, bot: LivingBot) -> None:
    seen = record(discord)
    asked = await people.ada.slash("imagine", prompt="slow-image", steps=60)
    behind = await people.bo.slash("imagine", prompt="slow-image", count=4)
    message = await until_shown(discord, asked)
    assert [button["label"] for button in message.buttons] == ["Cancel", "Tell me when done"]
    await discord.wait_for(lambda: [a.filename for a in message.attachments] == ["preview.jpg"])
    assert "█" in message.text
    assert "%" in message.text
    await until_done(discord, asked)
    await until_done(discord, behind)
    assert any(is_said(NUM_DONE, text, total=4) for text in seen)


async def test_four_pictures_are_four_files_with_buttons_for_each(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, count=4, seed=40))
    assert len(message.attachments) == 4
    assert len({file.data for file in message.attachments}) == 4
    rows = [
        [button["label"] for button in row["components"] if button["type"] == 2]
        for row in message.list_components()
        if row["type"] == 1
    ]
    assert rows == [
        ["U1", "U2", "U3", "U4"],
        ["V1", "V2", "V3", "V4"],
        ["Reroll", "Remix", "Recipe", "Favourite", "Delete"],
        ["Alt text"],
        [],
    ], "the last row is a menu, which is full"
    assert is_said(SEEDS, message.text, first=40, last=43)
    gallery = next(component for component in message.list_components() if component["type"] == 12)
    assert [item["description"] for item in gallery["items"]] == [f"{number} of 4: {RED}" for number in range(1, 5)]


async def test_every_option_reaches_the_request(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = await people.ada.slash(
        "imagine",
        prompt="  a   red\ncircle ",
        negative="blue",
        size="150x100",
        steps=3,
        guidance=2.5,
        sampler="Heun",
        seed=2**32 - 1,
        count=2,
        model="paintbox",
    )
    job = await bot.ended(asked)
    await discord.wait_for(lambda: asked.followups)
    assert asked.followups[0].is_ephemeral
    assert is_said(ROUNDED, asked.followups[0].content, width=152, height=96, typed="150x100")
    spec = job.images[1].spec
    assert (spec.prompt, spec.negative, spec.width_px, spec.height_px) == ("a red circle", "blue", 152, 96)
    assert (spec.steps, spec.guidance, spec.sampler, spec.model, spec.seed) == (3, 2.5, "Heun", "paintbox", 0)


async def test_a_start_image_is_taken_from_the_attachment(discord: Sandbox, people: People, bot: LivingBot) -> None:
    wide = encode_png(b"\x20\x80\xf0" * (300 * 200), (300, 200))
    asked = await people.ada.slash("imagine", prompt=RED, image=Upload("wide.png", wide), strength=0.5, steps=4)
    job = await bot.ended(asked)
    start = job.images[0].spec.start
    assert start is not None
    assert start.strength == 0.5
    assert job.images[0].spec.width_px > job.images[0].spec.height_px, "the shape follows the picture"
    assert job.status is Status.DONE


async def test_words_the_small_model_does_not_know_are_named(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt="a red wizard"))
    assert is_said(UNKNOWN_WORDS, message.text, words="wizard")


async def test_a_picture_kept_back_and_one_that_broke_say_so_and_cost_nothing(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    withheld = await until_done(discord, await people.ada.slash("imagine", prompt="withhold-image"))
    assert is_said(WithheldError, withheld.text)
    assert not withheld.attachments
    broken = await people.ada.slash("imagine", prompt="break-image")
    assert is_said(FailedError, (await until_done(discord, broken)).text)
    job = await bot.job_of(broken)
    assert job.images[0].charged == 0


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"prompt": "   "}, EmptyPromptError),
        ({"prompt": "​‎"}, EmptyPromptError),
        ({"prompt": RED, "size": "big"}, SizeFormatError),
        ({"prompt": RED, "size": "16384x64"}, SizeTooLargeError),
        ({"prompt": RED, "size": "128x128", "aspect": "1:1"}, AspectOrSizeError),
        ({"prompt": RED, "model": "../../etc/passwd"}, UnknownModelError),
    ],
)
async def test_refusals_are_private_and_free(
    options: dict[str, object], kind: type[AtelierError], discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await people.ada.forging.slash("imagine", **options)
    assert asked.ephemeral
    assert asked.original_message is not None
    assert is_said(kind, asked.original_message.content)
    assert not people.bo.list_visible_messages()
    assert not bot.generation.list_guild_jobs(people.guild.id)
    assert await bot.jobs.fetch_unfinished() == []


@pytest.mark.parametrize(
    "options",
    [
        {"seed": -1},
        {"seed": 2**53},
        {"steps": 10_000},
        {"count": 0},
        {"count": 1000},
        {"guidance": 99.0},
        {"strength": 7.0, "image": Upload("a.png", encode_png(b"\0" * 3 * 64 * 64, (64, 64)))},
        {"aspect": "7:1"},
        {"sampler": "Nobody"},
        {"steps": "many"},
        {"negative": "x" * 1501},
        {"prompt": "y" * 5000},
    ],
)
async def test_forged_values_are_refused_by_name(
    options: dict[str, object], discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await people.ada.forging.slash("imagine", **({"prompt": RED} | options))
    await discord.wait_for(lambda: asked.ephemeral or asked.followups)
    said = asked.followups[0] if asked.followups else asked.original_message
    assert said is not None
    assert said.is_ephemeral
    assert not is_said(UNEXPECTED, said.content)
    assert await bot.jobs.fetch_unfinished() == []


async def test_a_bad_start_image_is_refused_in_private(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = await people.ada.slash("imagine", prompt=RED, image=Upload("cat.png", b"<svg/>"))
    await discord.wait_for(lambda: asked.followups)
    assert asked.followups[0].is_ephemeral
    assert is_said(NotAPictureError, asked.followups[0].content)
    assert people.bo.list_visible_messages() == [], "the public “thinking” is gone"


async def test_what_the_bot_may_not_post_is_not_painted(discord: Sandbox, people: People, bot: LivingBot) -> None:
    discord.faults.take_permission(people.general, int(Permission.ATTACH_FILES))
    asked = await people.ada.slash("imagine", prompt=RED)
    assert asked.ephemeral
    assert asked.original_message is not None
    assert is_said(CannotPostError, asked.original_message.content, names="“Attach Files”")
    assert await bot.jobs.fetch_unfinished() == []


async def test_a_full_line_is_refused_before_anybody_sees_it(discord: Sandbox, people: People, bot: LivingBot) -> None:
    for _ in range(16):  # 60 may wait, and 4 may be at work already: the sixteenth is the last at best
        more = await people.ada.slash("imagine", prompt="endless-image", count=4)
        if not more.ephemeral:
            await until_shown(discord, more)
    asked = await people.ada.slash("imagine", prompt=RED, count=4)
    assert asked.ephemeral
    assert asked.original_message is not None
    assert is_said(QueueFullError, asked.original_message.content)


async def test_hostile_prompts_are_shown_letter_by_letter(discord: Sandbox, people: People, bot: LivingBot) -> None:
    prompt = "@everyone <@1> **bold** `code` [link](https://x.example) # head"
    message = await until_done(discord, await people.ada.slash("imagine", prompt=prompt))
    assert r"\@everyone \<\@1\> \*\*bold\*\* \`code\` \[link\]\(https\:\/\/x\.example\) \# head" in message.text
    assert message.allowed_mentions == {"parse": []}


async def test_it_works_in_direct_messages(discord: Sandbox, people: People, bot: LivingBot) -> None:
    ada = discord.act_as(people.ada.user)
    message = await until_done(discord, await ada.slash("imagine", prompt=RED))
    assert len(message.attachments) == 1


async def test_fifty_at_once_are_acknowledged_in_time(
    discord: Sandbox, people: People, bot: LivingBot, tally: Tally
) -> None:
    """Judged by the processor time of all of it: others may keep this machine busy. By the clock: `bench ack`."""
    actors = [discord.act_as(people.guild.add_member(f"member{n}"), people.general) for n in range(50)]
    began_s = time.process_time()
    asked = await asyncio.gather(*(actor.slash("imagine", prompt=RED, steps=1) for actor in actors))
    used_s = time.process_time() - began_s
    assert not [interaction for interaction in asked if interaction.failed]
    for interaction in asked:
        await until_done(discord, interaction)
    worst_ms = max(interaction.ack_ms or float("inf") for interaction in asked)
    tally.notes.append(f"50 /imagine at once: the last acknowledged after {worst_ms:.0f} ms, {used_s:.2f} s of work")
    assert used_s < MAX_ACK_S
