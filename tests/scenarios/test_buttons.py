"""Every button: by its owner, by others, twice at once, forged, and after a restart."""

from __future__ import annotations

import asyncio

from cogs.error_handler import STRAY_BUTTON
from cogs.results._by_picture import CANCELLED, CANCELLED_LATE
from cogs.results._messages import ENLARGED, TITLES
from discord_sandbox import Interaction, Message, Sandbox
from generation.jobs.errors import NotYourPicturesError
from generation.jobs.job import Status, new_job_id
from generation.jobs.job_kind import JobKind
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"


async def painted(discord: Sandbox, people: People, *, count: int = 1) -> Message:
    return await until_done(discord, await people.ada.slash("imagine", prompt=RED, seed=7, count=count, steps=3))


def said(interaction: Interaction) -> str:
    assert interaction.original_message is not None
    return interaction.original_message.content


async def test_reroll_is_the_same_wish_with_another_seed_charged_to_who_pressed(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    message = await painted(discord, people)
    pressed = await people.bo.click(message, "Reroll")
    again = await until_done(discord, pressed)
    job = await bot.job_of(pressed)
    assert job.owner.user_id == people.bo.user.id
    assert job.request.spec.prompt == RED
    assert job.request.spec.seed != 7
    assert again is not message
    assert not message.is_deleted


async def test_vary_paints_four_near_that_one(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people, count=4)
    pressed = await people.bo.click(message, "V3")
    near = await until_done(discord, pressed)
    job = await bot.job_of(pressed)
    assert len(near.attachments) == 4
    assert is_said(TITLES[JobKind.VARIED], near.text)
    assert {image.spec.seed for image in job.images} == {9}
    assert job.request.parent == f"{job_id_in(message)}-2"
    again = await until_done(discord, await people.ada.click(near, "V1"))
    assert len(again.attachments) == 4


async def test_upscale_doubles_the_size(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people, count=2)
    large = await until_done(discord, await people.bo.click(message, "U2"))
    assert (large.attachments[0].width, large.attachments[0].height) == (256, 256)
    assert is_said(ENLARGED, large.text, factor=2)
    assert [button["label"] for button in large.buttons] == ["Upscale", "Recipe", "Favourite", "Delete"]
    forged = await people.ada.forging.click(large, f"atelier:vary:{job_id_in(large)}:0")
    assert forged.ephemeral


async def test_the_recipe_is_complete_and_private(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people)
    pressed = await people.bo.click(message, "Recipe")
    assert pressed.ephemeral
    text = (await until_shown(discord, pressed)).text
    recipe = (await bot.jobs.fetch_job(job_id_in(message))).images[0].recipe
    assert recipe is not None
    for part in (RED, "Seed: 7", "Steps: 3", recipe.trace, recipe.fingerprint.digest, f"{job_id_in(message)}-0"):
        assert part in text


async def test_a_recipe_too_long_to_read_is_a_file(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = await people.ada.slash("imagine", prompt="*" * 1499 + "!", negative="`" * 1500, steps=2)
    message = await until_done(discord, asked)
    shown = await until_shown(discord, await people.ada.click(message, "Recipe"))
    assert [file.filename for file in shown.attachments] == ["recipe.txt"]
    assert b"*" * 1499 + b"!\nNegative prompt: " in shown.attachments[0].data
    assert "Reroll" in {button["label"] for button in message.buttons}


async def test_delete_is_for_the_owner_and_moderators(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people)
    refused = await people.bo.click(message, "Delete")
    assert refused.ephemeral
    assert is_said(NotYourPicturesError, said(refused))
    sha256 = (await bot.jobs.fetch_job(job_id_in(message))).images[0].file_sha256
    assert sha256 is not None
    await people.mo.click(message, "Delete")
    await discord.wait_for(lambda: message.is_deleted)
    assert (await bot.jobs.fetch_job(job_id_in(message))).images[0].file_sha256 is None
    assert bot.generation.files.get(sha256) is None


async def test_delete_pressed_twice_within_a_moment(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people)
    both = await asyncio.gather(people.ada.click(message, "Delete"), people.ada.click(message, "Delete"))
    await discord.wait_for(lambda: message.is_deleted)
    assert all(pressed.acknowledged for pressed in both)


async def test_reroll_pressed_twice_is_two_jobs(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people)
    both = await asyncio.gather(people.ada.click(message, "Reroll"), people.ada.click(message, "Reroll"))
    jobs = {(await bot.ended(pressed)).id for pressed in both}
    assert len(jobs) == 2


async def test_cancel_while_waiting_costs_nothing(discord: Sandbox, people: People, bot: LivingBot) -> None:
    for _ in range(4):
        await people.bo.slash("imagine", prompt="endless-image")
    asked = await people.ada.slash("imagine", prompt="endless-image")
    message = await discord.wait_for(lambda: asked.original_message if asked.original_message.buttons else None)
    job_id = job_id_in(message)
    await people.ada.click(message, "Cancel")
    await until_done(discord, asked)
    assert is_said(CANCELLED, message.text)
    job = await bot.jobs.fetch_job(job_id)
    assert job.status is Status.CANCELLED
    assert job.images[0].charged == 0


async def test_cancel_while_running_pays_for_what_was_painted(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = await people.ada.slash("imagine", prompt="endless-image", count=2)
    message = await discord.wait_for(lambda: asked.original_message if "%" in asked.original_message.text else None)
    job_id = job_id_in(message)
    refused = await people.bo.click(message, "Cancel")
    assert refused.ephemeral
    assert bot.generation.is_live(job_id)
    both = await asyncio.gather(people.ada.click(message, "Cancel"), people.mo.click(message, "Cancel"))
    assert all(pressed.acknowledged for pressed in both)
    await until_done(discord, asked)
    job = await bot.jobs.fetch_job(job_id)
    assert job.status is Status.CANCELLED
    assert all(image.charged <= image.reserved for image in job.images)
    assert any(image.charged for image in job.images), "of one a step was seen; the other may not have had one yet"
    assert is_said(CANCELLED_LATE, message.text)
    late = await people.ada.forging.click(message, f"atelier:cancel:{job_id}")
    assert late.ephemeral


async def test_forged_buttons_are_answered_in_private_and_do_nothing(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    message = await painted(discord, people)
    job_id = job_id_in(message)
    forged = [
        f"atelier:reroll:{new_job_id()}",
        f"atelier:up:{job_id}:9",
        f"atelier:up:{job_id}",
        "atelier:reroll:",
        f"atelier:nonsense:{job_id}",
        "atelier:history:99999999999999999999999",
        "somebody-else",
        "x" * 100,
    ]
    for custom_id in forged:
        pressed = await people.bo.forging.click(message, custom_id)
        assert pressed.ephemeral, custom_id
    assert not bot.generation.list_guild_jobs(people.guild.id)


async def test_a_job_of_another_server_is_not_known_here(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await painted(discord, people)
    other = discord.add_guild("Elsewhere")
    kit = discord.act_as(other.add_member("kit"), other.add_channel("lobby"))
    theirs = await until_done(discord, await kit.slash("imagine", prompt="a blue square", steps=2))
    pressed = await kit.forging.click(theirs, button_of(message, "recipe"))
    assert pressed.ephemeral
    assert is_said(STRAY_BUTTON, said(pressed))


async def test_buttons_work_after_a_restart_and_twenty_minutes_later(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    message = await painted(discord, people, count=2)
    await bot.stop()
    discord.clock.advance(20 * 60)
    await bot.start()
    rerolled = await until_done(discord, await people.bo.click(message, "Reroll"))
    assert len(rerolled.attachments) == 2
    assert len((await until_done(discord, await people.bo.click(message, "V1"))).attachments) == 4
    assert len((await until_done(discord, await people.bo.click(message, "U1"))).attachments) == 1
    assert (await people.bo.click(message, "Recipe")).ephemeral
    await people.ada.click(message, "Delete")
    await discord.wait_for(lambda: message.is_deleted)
