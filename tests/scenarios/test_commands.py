"""The other commands: the line, cancel, history, reproduce, help, about."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

from cogs.common.formatting import format_pictures
from cogs.help._messages import ABOUT_BOT, HELLO
from cogs.history._messages import NO_HISTORY
from cogs.queue._messages import NOTHING_OF_YOURS, NOTHING_WAITING
from cogs.results._messages import DIFFERENT_BY, IDENTICAL
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser, Upload
from generation.errors import UnknownJobError
from generation.images.codec import decode_png, encode_png
from generation.images.errors import NotAPictureError
from generation.images.metadata import read_recipe
from generation.models.errors import SizeTooLargeError
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"


async def told(discord: Sandbox, asked: Interaction) -> Message:
    assert asked.ephemeral
    return await until_shown(discord, asked)


async def test_queue_shows_who_waits_but_only_ones_own_words(discord: Sandbox, people: People, bot: LivingBot) -> None:
    empty = await told(discord, await people.ada.slash("queue"))
    assert is_said(NOTHING_WAITING, empty.text)
    await until_shown(discord, await people.ada.slash("imagine", prompt="endless-image of ada", count=4))
    await until_shown(discord, await people.bo.slash("imagine", prompt="endless-image of bo", count=2))
    full = await told(discord, await people.ada.slash("queue"))
    assert f"<@{people.ada.user.id}>, {format_pictures(4)}" in full.text
    assert f"<@{people.bo.user.id}>, {format_pictures(2)}" in full.text
    assert r"of ada" in full.text
    assert "of bo" not in full.text


async def test_direct_messages_know_nothing_of_each_other(discord: Sandbox, people: People, bot: LivingBot) -> None:
    ada, bo = discord.act_as(people.ada.user), discord.act_as(people.bo.user)
    mine = await until_shown(discord, await ada.slash("imagine", prompt="endless-image"))
    assert is_said(NOTHING_WAITING, (await told(discord, await bo.slash("queue"))).text)
    assert format_pictures(1) in (await told(discord, await ada.slash("queue"))).text
    page = await told(discord, await bo.slash("history"))
    for action in ("cancel", "recipe", "reroll", "open"):
        assert (await bo.forging.click(page, f"atelier:{action}:{job_id_in(mine)}")).ephemeral
    assert is_said(NOTHING_OF_YOURS, (await told(discord, await bo.slash("cancel"))).text)


async def test_cancel_by_name_and_all_at_once(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = [await people.ada.slash("imagine", prompt=f"endless-image {n}") for n in range(3)]
    theirs = await people.bo.slash("imagine", prompt="endless-image")
    for each in [*asked, theirs]:
        await until_shown(discord, each)
    offered = await people.ada.autocomplete("cancel", focused="picture", value="image 1")
    assert [choice["name"].rpartition(" · ")[2] for choice in offered] == ["endless-image 1"]
    await people.ada.slash("cancel", picture=offered[0]["value"])
    await until_done(discord, asked[1])
    stolen = job_id_in(await until_shown(discord, theirs))
    said = (await told(discord, await people.ada.forging.slash("cancel", picture=stolen))).text
    assert is_said(UnknownJobError, said)
    await people.ada.slash("cancel")
    await until_done(discord, asked[0])
    await until_done(discord, asked[2])
    assert is_said(NOTHING_OF_YOURS, (await told(discord, await people.ada.slash("cancel"))).text)
    assert bot.generation.is_live(stolen)


async def test_history_is_private_and_has_pages(discord: Sandbox, people: People, bot: LivingBot) -> None:
    nothing = await told(discord, await people.ada.slash("history"))
    assert is_said(NO_HISTORY, nothing.text)
    for n in range(5):
        await until_done(
            discord, await people.ada.slash("imagine", prompt=f"a red circle {n}", steps=2, count=1 + n % 2)
        )
    await until_done(discord, await people.bo.slash("imagine", prompt="a blue square", steps=2))
    page = await told(discord, await people.ada.slash("history"))
    assert [f"circle {n}" in page.text for n in range(5)] == [False, False, True, True, True]
    assert "blue square" not in page.text
    assert len(page.attachments) == 3
    await people.ada.click(page, "Older")
    await discord.wait_for(lambda: "circle 0" in page.text)
    assert "circle 2" not in page.text
    await people.ada.click(page, "Newest")
    await discord.wait_for(lambda: "circle 4" in page.text)
    opened = await people.ada.click(page, "Open 1")
    full = await told(discord, opened)
    assert [button["label"] for button in full.buttons] == [
        "Upscale",
        "Vary",
        "Reroll",
        "Remix",
        "Recipe",
        "Favourite",
        "Delete",
    ]


async def test_reproduce_by_id_by_link_and_by_file_is_identical(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, seed=7, count=2, steps=3))
    job_id = job_id_in(message)
    link = f"https://discord.com/channels/{people.guild.id}/{people.general.id}/{message.id}"
    file = Upload("some.png", message.attachments[0].data)
    for options in ({"picture": f"{job_id}-1"}, {"picture": link}, {"file": file}):
        again = await until_done(discord, await people.bo.slash("reproduce", **options))
        assert is_said(IDENTICAL, again.text), options
        wanted = message.attachments[1 if options.get("picture") == f"{job_id}-1" else 0].data
        assert again.attachments[0].data == wanted


async def test_reproduce_says_different_and_why(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, seed=7, steps=3))
    png = message.attachments[0].data
    recipe = replace(read_recipe(png), pixels_sha256="0" * 64, trace="2x3")
    pixels, size = decode_png(png)
    changed = encode_png(pixels[:3] * (size[0] * size[1]), size, text={"atelier": recipe.to_json()})
    again = await until_done(discord, await people.bo.slash("reproduce", file=Upload("forged.png", changed)))
    assert is_said(DIFFERENT_BY, again.text) and " dB" in again.text


async def test_reproduce_refuses_what_it_cannot_know(discord: Sandbox, people: People, bot: LivingBot) -> None:
    hidden = people.guild.add_channel("hidden")
    secret = discord.act_as(people.mo.member, hidden)
    message = await until_done(discord, await secret.slash("imagine", prompt=RED, steps=2))
    hidden.set_overwrite(people.bo.member, deny=1 << 10)
    link = f"https://discord.com/channels/{people.guild.id}/{hidden.id}/{message.id}"
    for options in (
        {},
        {"picture": "no such thing"},
        {"picture": "x" * 22},
        {"picture": link},
        {"picture": f"https://discord.com/channels/1/2/{message.id}"},
    ):
        assert (await people.bo.slash("reproduce", **options)).ephemeral, options
    by_file = await people.bo.slash("reproduce", file=Upload("a.txt", b"hello"))
    await discord.wait_for(lambda: by_file.followups)
    assert by_file.followups[0].is_ephemeral
    assert is_said(NotAPictureError, by_file.followups[0].content)


async def test_a_forged_recipe_cannot_ask_for_a_giant(discord: Sandbox, people: People, bot: LivingBot) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, seed=7, steps=3))
    recipe = read_recipe(message.attachments[0].data)
    giant = replace(recipe, spec=replace(recipe.spec, width_px=2048, height_px=2048))
    png = encode_png(b"\0" * 3 * 64 * 64, (64, 64), text={"atelier": giant.to_json()})
    asked = await people.bo.slash("reproduce", file=Upload("giant.png", png))
    await discord.wait_for(lambda: asked.followups)
    assert is_said(SizeTooLargeError, asked.followups[0].content)


async def test_help_and_about_are_for_newcomers(discord: Sandbox, people: People, bot: LivingBot) -> None:
    help_text = (await told(discord, await people.ada.slash("help"))).text
    assert is_said(HELLO, help_text) and RED in help_text
    assert is_said(ABOUT_BOT, (await told(discord, await people.ada.slash("about"))).text)


async def test_help_lists_what_is_of_use_to_who_asks(discord: Sandbox, people: People, bot: LivingBot) -> None:
    async def listed(who: ScriptedUser) -> set[str]:
        text = (await told(discord, await who.slash("help"))).text
        return {
            command["name"]
            for command in discord.commands
            if command["type"] == 1 and re.search(rf"</{command['name']}( \w+)?:{command['id']}>", text)
        }

    every = {each["name"]: each["default_member_permissions"] for each in discord.commands if each["type"] == 1}
    members = {name for name, needed in every.items() if needed is None}
    assert await listed(people.ada) == members
    moderators = {name for name, needed in every.items() if needed == str(int(Permission.MANAGE_MESSAGES))}
    assert moderators >= {"review", "block"}
    assert await listed(people.mo) == members | moderators
    owner = people.guild.members[people.guild.owner_id]
    assert await listed(discord.act_as(owner, people.general)) == set(every) - {"operator"}
    bot.client.services = replace(bot.services, owner_ids=frozenset({people.bo.user.id}))
    assert await listed(people.bo) == members | {"operator"}
    alone = await listed(discord.act_as(people.ada.user))
    assert {"imagine", "history"} < alone < members


async def test_models_are_offered_while_typing(discord: Sandbox, people: People, bot: LivingBot) -> None:
    offered = await people.ada.autocomplete("imagine", focused="model", value="pai", prompt="x")
    assert offered == [{"name": "paintbox", "value": "paintbox"}]


async def test_commands_are_registered_once(discord: Sandbox, people: People, bot: LivingBot) -> None:
    def registrations() -> int:
        return len([call for call in discord.journal.calls if call.method == "PUT" and "commands" in call.template])

    assert registrations() == 1
    await bot.stop()
    await bot.start()
    assert registrations() == 1
    await asyncio.gather(people.ada.slash("about"), people.bo.slash("queue"))
