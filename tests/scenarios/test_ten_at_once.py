"""Ten pictures in one request, over the wire: painted, chosen from menus, one by one, all originals, or refused."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from cogs.common.errors import PictureNumberError, SeveralPicturesError
from cogs.results._by_picture import FILE_GONE
from cogs.results._messages import IDENTICAL, NOT_SHOWN_HERE
from cogs.results._pictures import NONE_LEFT, PART, TOO_LARGE_TO_SEND
from discord_sandbox import Interaction, Message
from generation.errors import QuotaExceededError
from generation.images.codec import decode_png, pixels_sha256
from generation.images.metadata import read_recipe
from generation.jobs.job import Status
from generation.policy.errors import CountNotAllowedError
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from generation.requests.errors import OutOfRangeError
from generation.safety.visibility import SafetyLevel
from tests.messages import is_said
from tests.scenarios.bad_input_harness import RED, Harness, answer, refuses
from tests.scenarios.bot_harness import job_id_in, until_done, until_shown

pytestmark = pytest.mark.asyncio(loop_scope="module")
TEN = tuple(range(10))


async def choose(harness: Harness, message: Message, menu: str, action: str, index: int | None = None) -> Interaction:
    """Choose an entry of one of the menus under a message."""
    job_id = job_id_in(message)
    value = f"atelier:{action}:{job_id}" + ("" if index is None else f":{index}")
    return await harness.people.bo.select(message, f"atelier-menu:{job_id}{menu}", [value])


async def archives(harness: Harness, pressed: Interaction, number: int = 1) -> list[dict[str, bytes]]:
    """The files of the ZIP files in a private answer."""
    first = await until_shown(harness.discord, pressed)
    await harness.discord.wait_for(lambda: len(pressed.followups) >= number - 1)
    messages = [first, *pressed.followups]
    assert all(each.is_ephemeral for each in messages)
    opened = [zipfile.ZipFile(io.BytesIO(file.data)) for each in messages for file in each.attachments]
    return [{entry.filename: each.read(entry) for entry in each.infolist()} for each in opened]


async def test_ten_are_one_message_with_menus(harness: Harness) -> None:
    message = await harness.paints(count=10, seed=40)
    assert len({file.data for file in message.attachments}) == 10
    gallery = next(each for each in message.list_components() if each["type"] == 12)
    assert [item["description"] for item in gallery["items"]] == [f"{number + 1} of 10: {RED}" for number in TEN]
    labels = [button["label"] for button in message.buttons]
    assert labels == ["Reroll", "Remix", "Recipe", "Favourite", "Delete"]
    menus = [each for each in message.list_components() if each["type"] == 3]
    assert [(menu["placeholder"], len(menu["options"])) for menu in menus] == [
        ("Upscale which picture …", 10),
        ("Vary which picture …", 10),
        ("More …", 11),
    ]
    usage = await harness.usage()
    job = await harness.bot.jobs.fetch_job(job_id_in(message))
    assert [image.spec.seed for image in job.images] == list(range(40, 50))
    assert usage.num_images >= 10 and usage.reserved == 0


async def test_each_picture_is_upscaled_and_varied_from_its_menu(harness: Harness) -> None:
    message = await harness.paints(count=10, seed=40)
    job_id = job_id_in(message)
    for menu, action, count in ((":up", "up", 1), (":vary", "vary", 4)):
        pressed = await choose(harness, message, menu, action, 9)
        await until_done(harness.discord, pressed)
        made = await harness.bot.job_of(pressed)
        assert (made.request.parent, len(made.images), made.status) == (f"{job_id}-9", count, Status.DONE)


async def test_one_of_them_has_all_its_own_buttons(harness: Harness) -> None:
    message, bo = await harness.paints(count=10, seed=40), harness.people.bo
    job_id = job_id_in(message)
    pressed = await choose(harness, message, "", "picture", 9)
    one = await until_shown(harness.discord, pressed)
    assert one.is_ephemeral and [file.data for file in one.attachments] == [message.attachments[9].data]
    assert [button["label"] for button in one.buttons][:5] == ["Upscale", "Vary", "Reroll", "Remix", "Recipe"]
    recipe = await until_shown(harness.discord, await bo.click(one, "Recipe"))
    assert "seed 49" in recipe.text.replace("\u00a0", " ") and f"/reproduce picture:{job_id}-9" in recipe.text
    rerolled = await bo.click(one, "Reroll")
    await until_done(harness.discord, rerolled)
    assert len((await harness.bot.job_of(rerolled)).images) == 1
    opened = await bo.click(one, "Remix")
    assert '"value": "49"' in json.dumps(opened.modal)
    sent = await bo.submit_modal(opened, {"prompt": "a green square"})
    await until_done(harness.discord, sent)
    assert (await harness.bot.job_of(sent)).request.parent == f"{job_id}-9"
    again = await bo.select(one, f"atelier-menu:{job_id}", [f"atelier:again:{job_id}:9"])
    assert is_said(IDENTICAL, (await until_done(harness.discord, again)).text)


async def test_they_outlive_a_restart(harness: Harness) -> None:
    message = await harness.paints(count=10)
    await harness.bot.stop()
    harness.discord.clock.advance(20 * 60)
    await harness.bot.start()
    assert (await until_shown(harness.discord, await choose(harness, message, "", "picture", 3))).attachments
    pressed = await choose(harness, message, ":up", "up", 3)
    await until_done(harness.discord, pressed)
    assert (await harness.bot.job_of(pressed)).status is Status.DONE
    (files,) = await archives(harness, await choose(harness, message, "", "zip"))
    assert len(files) == 10


async def test_the_archive_holds_the_very_files(harness: Harness) -> None:
    message = await harness.paints(count=2, seed=7)
    first, second = [await choose(harness, message, "", "zip") for _ in range(2)]
    (files,) = await archives(harness, first)
    assert list(files.items()) == [(file.filename, file.data) for file in message.attachments]
    recipes = [read_recipe(data) for data in files.values()]
    assert [recipe.spec.seed for recipe in recipes] == [7, 8]
    assert [recipe.pixels_sha256 for recipe in recipes] == [
        pixels_sha256(decode_png(data)[0]) for data in files.values()
    ]
    assert (await until_shown(harness.discord, second)).attachments[0].data == (
        await until_shown(harness.discord, first)
    ).attachments[0].data


async def test_what_was_withheld_or_deleted_is_not_in_the_archive(harness: Harness) -> None:
    message = await harness.paints(count=3)
    job = await harness.bot.jobs.fetch_job(job_id_in(message))
    await harness.bot.jobs.withhold(job.images[1].id)
    pressed = await choose(harness, message, "", "zip")
    (files,) = await archives(harness, pressed)
    assert list(files) == [message.attachments[index].filename for index in (0, 2)]
    assert "**2** · " in (await until_shown(harness.discord, pressed)).text
    await harness.people.ada.click(message, "Delete")
    await harness.discord.wait_for(lambda: message.is_deleted)
    forged = harness.people.bo.forging
    gone = await until_shown(
        harness.discord, await forged.select(message, f"atelier-menu:{job.id}", [f"atelier:zip:{job.id}"])
    )
    assert is_said(NONE_LEFT, gone.text) and is_said(FILE_GONE, gone.text) and not gone.attachments


@pytest.mark.parametrize("level", [SafetyLevel.OFF, SafetyLevel.BLUR])
async def test_flagged_pictures_are_sent_only_where_they_are_shown(harness: Harness, level: SafetyLevel) -> None:
    guild = harness.people.guild
    channel = guild.add_channel(f"after-dark-{level}", nsfw=True)
    ada = harness.discord.act_as(harness.people.ada.user, channel)
    await harness.bot.choose(GuildSettings(guild_id=guild.id, safety=level))
    asked = await ada.slash("imagine", prompt="a withhold-image of a spider", steps=1, count=2)
    message = await until_done(harness.discord, asked)
    job_id = job_id_in(message)

    async def press() -> Interaction:
        return await ada.select(message, f"atelier-menu:{job_id}", [f"atelier:zip:{job_id}"])

    shown = await press()
    assert [len(each) for each in await archives(harness, shown)] == [2]
    names = [file.filename for file in (await until_shown(harness.discord, shown)).attachments]
    assert [name.startswith("SPOILER_") for name in names] == [False]
    boxes = [each for each in (await until_shown(harness.discord, shown)).list_components() if each["type"] == 13]
    assert [bool(each.get("spoiler")) for each in boxes] == [level is SafetyLevel.BLUR]
    channel.set_nsfw(False)
    if level is SafetyLevel.OFF:
        hidden = await until_shown(harness.discord, await press())
        assert not hidden.attachments and is_said(NOT_SHOWN_HERE, hidden.text)
    await harness.bot.choose(GuildSettings(guild_id=guild.id))


async def test_what_is_over_the_limit_comes_in_parts_or_is_named(harness: Harness) -> None:
    message, guild = await harness.paints(count=4), harness.people.guild
    largest = max(len(file.data) for file in message.attachments)
    usual = guild.attachment_size_limit
    guild.attachment_size_limit = largest + 400
    pressed = await choose(harness, message, "", "zip")
    parts = await archives(harness, pressed, 4)
    assert [data for files in parts for data in files.values()] == [file.data for file in message.attachments]
    assert is_said(PART, (await until_shown(harness.discord, pressed)).text, number=1, total=4)
    guild.attachment_size_limit = 100
    small = await until_shown(harness.discord, await choose(harness, message, "", "zip"))
    assert is_said(TOO_LARGE_TO_SEND, small.text) and not small.attachments
    guild.attachment_size_limit = usual


async def test_too_many_are_refused_as_a_whole(harness: Harness) -> None:
    await refuses(harness, OutOfRangeError, count=11)
    guild_id = harness.people.guild.id
    await harness.bot.choose(GuildSettings(guild_id=guild_id, choices=GuildPreferences(max_count=4)))
    await refuses(harness, CountNotAllowedError, count=5)
    await harness.bot.choose(GuildSettings(guild_id=guild_id))
    used = (await harness.usage()).num_images
    quota = Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=used + 9)
    await harness.bot.services.quotas.set_quota(guild_id, quota)
    said = await answer(harness, await harness.people.ada.slash("imagine", prompt=RED, count=10))
    assert is_said(QuotaExceededError, said)
    assert (await harness.usage()).num_images == used
    await harness.bot.services.quotas.remove_quota(guild_id, quota)


async def test_a_form_takes_the_tenth_and_no_eleventh(harness: Harness) -> None:
    message, ada = await harness.paints(count=10), harness.people.ada.forging
    refused = await answer(harness, await ada.context_menu("Upscale", message))
    assert is_said(SeveralPicturesError, refused)
    for number, is_right in (("10", True), ("11", False)):
        sent = await ada.submit_modal(await ada.context_menu("Use as start image", message), {"number": number})
        if is_right:
            await until_done(harness.discord, sent)
            assert (await harness.bot.job_of(sent)).request.parent == f"{job_id_in(message)}-9"
        else:
            assert is_said(PictureNumberError, await answer(harness, sent), most=10)
