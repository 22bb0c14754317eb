"""Nothing is fetched, decoded or kept for those who may not ask, and no server's files hold up another's request."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from PIL import Image

from cogs.common import attachments
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser, Upload
from generation.errors import TooManyFilesError
from generation.images.errors import NotAPictureError
from generation.owner import DM_TENANT, Owner
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.rate_limit import FILES_PER_MINUTE
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

RED = "a red circle on a blue background"


def picture(size: tuple[int, int] = (128, 128), colour: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that were fetched from the CDN, as it happens."""
    names: list[str] = []
    fetch = attachments.fetch_attachment

    async def seen(file: Any, *args: Any, **options: Any) -> bytes:
        names.append(file.filename)
        return await fetch(file, *args, **options)

    monkeypatch.setattr(attachments, "fetch_attachment", seen)
    return names


def is_answered(asked: Interaction) -> bool:
    first = asked.original_message
    return bool(asked.followups) or (first is not None and not first.is_loading)


async def told(discord: Sandbox, asked: Interaction) -> Message:
    await discord.wait_for(lambda: is_answered(asked), timeout_s=60)
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral, message.text
    return message


def pictures_of(bot: LivingBot) -> set[str]:
    return {path.name for path in (bot.data_dir / "pictures").rglob("*.png")}


Try = Callable[[ScriptedUser, Message], Awaitable[Interaction]]
FILE = {"file": Upload("a.png", picture())}
IMAGE = {"image": Upload("a.png", picture())}


def slash(command: str, **options: Any) -> Try:
    return lambda who, message: who.slash(command, **options)


def menu(name: str) -> Try:
    return lambda who, message: who.context_menu(name, message)


EVERY_WAY: dict[str, Try] = {
    "recipe": slash("recipe", **FILE),
    "reproduce": slash("reproduce", **FILE),
    "imagine": slash("imagine", prompt=RED, **IMAGE),
    "img2img": slash("img2img", prompt=RED, **IMAGE),
    "inpaint": slash("inpaint", prompt=RED, mask=Upload("m.png", picture()), **IMAGE),
    "upscale": slash("upscale", **IMAGE),
    "Show recipe": menu("Show recipe"),
    "Upscale": menu("Upscale"),
    "Use as start image": menu("Use as start image"),
}
"""Every command and menu that reads a file."""


async def blocked(people: People, bot: LivingBot) -> ScriptedUser:
    await people.mo.slash("block", member=people.ada.user)
    return people.ada


async def in_another_channel(people: People, bot: LivingBot) -> ScriptedUser:
    other = people.guild.add_channel("painting")
    await choose(people, bot, GuildPreferences(channel_ids=(other.id,)))
    return people.ada


async def without_the_role(people: People, bot: LivingBot) -> ScriptedUser:
    await choose(people, bot, GuildPreferences(role_ids=(1,)))
    return people.ada


async def in_a_server_that_is_denied(people: People, bot: LivingBot) -> ScriptedUser:
    await bot.services.operator.set_standing(people.guild.id, AccessDecision.DENIED)
    return people.ada


async def choose(people: People, bot: LivingBot, choices: GuildPreferences) -> None:
    settings = GuildSettings(guild_id=people.guild.id, choices=choices)
    await bot.choose(settings)


@pytest.mark.parametrize("forbid", [blocked, in_another_channel, without_the_role, in_a_server_that_is_denied])
async def test_nothing_is_fetched_for_those_who_may_not_ask(
    discord: Sandbox, people: People, bot: LivingBot, fetched: list[str], forbid: Any
) -> None:
    message = people.bo.say("look", files=[Upload("theirs.png", picture())])
    who = await forbid(people, bot)
    for name, attempt in EVERY_WAY.items():
        asked = await attempt(who, message)
        assert asked.modal is None, name
        await told(discord, asked)
    assert fetched == []
    assert pictures_of(bot) == set()
    assert not list((bot.data_dir / "forms").glob("*")), "nor is a form kept"


async def test_the_control_who_may_ask_has_their_files_fetched(
    discord: Sandbox, people: People, bot: LivingBot, fetched: list[str]
) -> None:
    message = people.bo.say("look", files=[Upload("theirs.png", picture())])
    for name in ("recipe", "upscale", "Show recipe"):
        asked = await EVERY_WAY[name](people.ada, message)
        await discord.wait_for(lambda asked=asked: is_answered(asked), timeout_s=60)
    assert fetched == ["a.png", "a.png", "theirs.png"]
    assert (await EVERY_WAY["Use as start image"](people.ada, message)).modal is not None


async def test_a_refused_request_leaves_no_file_and_an_accepted_one_does(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    manager = discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)
    await told(discord, await manager.slash("quota set", limit=1))
    await until_done(discord, await people.ada.slash("img2img", prompt=RED, steps=2, image=Upload("a.png", picture())))
    kept = pictures_of(bot)
    assert len(kept) == 2, "the start picture and what was painted"
    for command in ("img2img", "inpaint", "upscale", "imagine"):
        mask = {"mask": Upload("m.png", picture(colour="white"))} if command == "inpaint" else {}
        words = {} if command == "upscale" else {"prompt": RED}
        image = Upload("b.png", picture(colour="green"))
        refused = await told(discord, await people.ada.slash(command, image=image, **mask, **words))
        assert "quota" in refused.text, refused.text
        assert pictures_of(bot) == kept, command
    same = await told(discord, await people.ada.slash("img2img", prompt=RED, image=Upload("a.png", picture())))
    assert "quota" in same.text
    assert pictures_of(bot) == kept, "what another request starts from stays"


async def test_a_reproduced_file_of_a_refused_request_is_not_kept(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    painted = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    png = painted.attachments[0].data
    for path in (bot.data_dir / "pictures").rglob("*.png"):
        path.unlink()
    await told(discord, await manager_of(discord, people).slash("quota set", limit=1))
    refused = await told(discord, await people.ada.slash("reproduce", file=Upload("a.png", png)))
    assert "quota" in refused.text
    assert pictures_of(bot) == set()


def manager_of(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)


async def test_a_flood_of_files_does_not_hold_up_another_server(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    meadow = discord.add_guild("Meadow")
    eve = discord.act_as(meadow.add_member("eve"), meadow.add_channel("general"))
    slow = picture((4096, 4096))
    flood = [
        asyncio.create_task(who.slash("recipe", file=Upload("slow.png", slow)))
        for who in (people.ada, people.bo, people.mo)
        for _ in range(5)
    ]
    await discord.wait_for(lambda: any(each.done() for each in flood), timeout_s=60)
    job = await bot.ended(await eve.slash("img2img", prompt=RED, steps=2, image=Upload("a.png", picture())))
    assert job.images[0].file_sha256 is not None
    asked = await asyncio.gather(*flood)
    assert sum(map(is_answered, asked)) < len(asked) / 2, "the flood is still being decoded"
    await discord.wait_for(lambda: all(map(is_answered, asked)), timeout_s=100)


async def test_files_of_one_member_have_a_rate_even_where_no_job_comes_of_them(
    discord: Sandbox, people: People, bot: LivingBot, fetched: list[str]
) -> None:
    bot.services.file_rates._made.clear()
    limit = FILES_PER_MINUTE
    member = Owner(DM_TENANT, people.ada.user.id)
    for _ in range(limit - 4):  # as many files: `tests/cogs/common/test_attachments.py` reads them all
        bot.services.file_rates.take(member, limit=limit)
    for _ in range(4):
        await told(discord, await people.ada.slash("recipe", file=Upload("a.txt", b"hello")))
    refused = await told(discord, await people.ada.slash("recipe", file=Upload("late.txt", b"hello")))
    assert is_said(TooManyFilesError, refused.text, limit=limit)
    assert "late.txt" not in fetched
    said = (await told(discord, await people.bo.slash("recipe", file=Upload("a.txt", b"x")))).text
    assert is_said(NotAPictureError, said)
