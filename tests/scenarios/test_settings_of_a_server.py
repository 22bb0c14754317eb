"""The settings panel as managers use it, and what its choices mean for everybody else."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from cogs.common.errors import NotAManagerError
from cogs.settings._field_kinds import Field
from cogs.settings._fields import COUNT, PAGES, PER_MINUTE, SAFETY, STEPS, describe_choice
from cogs.settings._styles import KEPT, NONE_YET
from cogs.settings._views import HELLO, PANEL_TITLE
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.errors import NotUtf8Error
from generation.policy.errors import (
    CountNotAllowedError,
    NoPaintingRoleError,
    NotThisChannelError,
    NotYourButtonError,
    SettingsFileError,
    StepsNotAllowedError,
)
from generation.policy.guild_preferences import GuildPreferences
from generation.requests.errors import OutOfRangeError
from generation.requests.style import Style
from generation.safety.visibility import SafetyLevel
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

RED = "a red circle on a blue background"


@pytest.fixture
def manager(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)


async def told(discord: Sandbox, asked: Interaction) -> Message:
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message


def chosen(panel: Message) -> str:
    """What the menus of a panel show: what is chosen in them."""
    menus = [each for each in panel.list_components() if "max_values" in each or "options" in each]
    labels = [option["label"] for menu in menus for option in menu.get("options", ()) if option.get("default")]
    return "\n".join(labels + [str(value["id"]) for menu in menus for value in menu.get("default_values", ())])


async def choose(who: ScriptedUser, panel: Message, page: str, key: str, *values: object) -> None:
    await who.select(panel, f"atelier-set:{page}:{key}", list(values))


def get_option(field: Field, value: str) -> str:
    """What a menu of the panel calls one of its options."""
    label = describe_choice(field, [value])
    return label[:1].upper() + label[1:]


def is_open_at(panel: Message, page: str) -> bool:
    return is_said(PANEL_TITLE, panel.text, page=PAGES[page][0])


async def turn_to(discord: Sandbox, who: ScriptedUser, panel: Message, page: str) -> None:
    await who.click(panel, f"atelier-set:{page}:open")
    await discord.wait_for(lambda: is_open_at(panel, page))


async def test_what_is_chosen_holds_at_once_for_everybody(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    gallery, log = people.guild.add_channel("gallery"), people.guild.add_channel("log")
    artists = people.guild.add_role("Artists")
    panel = await told(discord, await manager.slash("settings"))
    assert is_open_at(panel, "what")
    await choose(manager, panel, "what", "max_steps", "10")
    await choose(manager, panel, "what", "max_count", "2")
    await choose(manager, panel, "what", "default_aspect", "3:2")
    await discord.wait_for(lambda: get_option(COUNT, "2") in chosen(panel))
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED, steps=11))
    assert is_said(StepsNotAllowedError, refused.text, most=10, asked=11)
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED, steps=2, count=3))
    assert is_said(CountNotAllowedError, refused.text, most=2, asked=3)
    job = await bot.ended(await people.ada.slash("imagine", prompt=RED, steps=2))
    assert job.request.spec.width_px > job.request.spec.height_px

    await turn_to(discord, manager, panel, "who")
    await choose(manager, panel, "who", "channel_ids", gallery)
    await discord.wait_for(lambda: str(gallery.id) in chosen(panel))
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED))
    assert is_said(NotThisChannelError, refused.text, channels=f"<#{gallery.id}>")
    await choose(manager, panel, "who", "channel_ids")
    await choose(manager, panel, "who", "role_ids", artists)
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    assert is_said(NoPaintingRoleError, refused.text)
    people.guild.members[people.ada.user.id].add_role(artists)
    await choose(manager, panel, "who", "visibility", "private")
    await choose(manager, panel, "who", "pressers", "owner")
    private = await people.ada.slash("imagine", prompt=RED, steps=2)
    shown = await until_done(discord, private)
    assert shown.is_ephemeral
    assert shown.attachments

    await turn_to(discord, manager, panel, "safety")
    await choose(manager, panel, "safety", "log_channel_id", log)
    await choose(manager, panel, "safety", "safety", "blur")
    await discord.wait_for(lambda: len(log.messages) == 2)
    assert describe_choice(SAFETY, ["blur"]) in log.messages[-1].text
    assert (await bot.services.guilds.fetch(people.guild.id)).safety is SafetyLevel.BLUR
    changes = (await told(discord, await manager.click(panel, "Who changed what"))).text
    assert f"<@{manager.user.id}>" in changes
    assert describe_choice(STEPS, ["10"]) in changes


async def test_only_the_owners_buttons_where_the_server_says_so(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    panel = await told(discord, await manager.slash("settings"))
    await turn_to(discord, manager, panel, "who")
    await choose(manager, panel, "who", "pressers", "owner")
    refused = await told(discord, await people.bo.click(message, "Reroll"))
    assert is_said(NotYourButtonError, refused.text)
    assert (await until_done(discord, await people.ada.click(message, "Reroll"))).attachments


async def test_nobody_else_changes_anything(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    panel = await told(discord, await manager.slash("settings"))
    for forged in (
        await people.mo.forging.slash("settings"),
        await people.mo.forging.slash("settings", file=b"{}"),
        await people.mo.forging.click(panel, "Export"),
        await people.mo.forging.select(panel, "atelier-set:what:max_steps", ["10"]),
    ):
        assert is_said(NotAManagerError, (await told(discord, forged)).text)
    wrong = await manager.forging.select(panel, "atelier-set:what:max_steps", ["9999"])
    assert "Choose from the menu" in (await told(discord, wrong)).text
    assert (await bot.services.guilds.fetch(people.guild.id)).choices == GuildPreferences()


async def test_a_file_there_and_back(discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser) -> None:
    panel = await told(discord, await manager.slash("settings"))
    await choose(manager, panel, "what", "max_steps", "20")
    await turn_to(discord, manager, panel, "who")
    await choose(manager, panel, "who", "requests_per_minute", "5")
    await discord.wait_for(lambda: get_option(PER_MINUTE, "5") in chosen(panel))
    await turn_to(discord, manager, panel, "what")
    await told(discord, await manager.slash("style add", name="Ink", prompt="in ink", negative="colour"))
    exported = (await told(discord, await manager.click(panel, "Export"))).attachments[0].data
    await choose(manager, panel, "what", "max_steps", "75")
    await told(discord, await manager.slash("style remove", name="ink"))
    await told(discord, await manager.slash("style add", name="Oil", prompt="in oil"))
    before = await bot.services.guilds.fetch(people.guild.id)
    said = await told(discord, await manager.slash("settings", file=exported))
    assert get_option(STEPS, "20") in chosen(said)
    after = await bot.services.guilds.fetch(people.guild.id)
    assert after == replace(before, choices=replace(before.choices, max_steps=20)), "every choice came back"
    assert after.choices.requests_per_minute == 5
    ink = Style(guild_id=people.guild.id, name="Ink", prompt="in ink", negative="colour")
    assert await bot.services.styles.fetch_all(people.guild.id) == [ink]
    old = json.loads(exported)
    del old["styles"]
    await told(discord, await manager.slash("settings", file=json.dumps(old).encode()))
    assert await bot.services.styles.fetch_all(people.guild.id) == [ink], "a file that knows no styles leaves them"
    for data, kind in ((b"\xff\xfe", NotUtf8Error), (b"{}", SettingsFileError), (b"[", SettingsFileError)):
        assert is_said(kind, (await told(discord, await manager.slash("settings", file=data))).text)
    bad = exported.replace(b'"max_steps": 20', b'"max_steps": 0')
    refused = (await told(discord, await manager.slash("settings", file=bad))).text
    assert is_said(OutOfRangeError, refused, low=1, high=150, value=0)


async def test_styles_in_the_panel(discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser) -> None:
    panel = await told(discord, await manager.slash("settings"))
    await manager.click(panel, "atelier-set:styles:open")
    await discord.wait_for(lambda: is_said(NONE_YET, panel.text))
    opened = await manager.click(panel, "Add a style")
    typed = {"name": "Ink", "prompt": "{prompt}, in ink", "negative": ""}
    await manager.submit_modal(opened, typed)
    await discord.wait_for(lambda: "Ink" in panel.text)
    assert [each.name for each in await bot.services.styles.fetch_all(people.guild.id)] == ["Ink"]
    bad = await manager.submit_modal(await manager.click(panel, "Add a style"), typed | {"name": "!?"})
    assert "A style's name" in (await told(discord, bad)).text
    forged = await people.ada.forging.select(panel, "atelier-set:styles:style_remove", ["Ink"])
    assert is_said(NotAManagerError, (await told(discord, forged)).text)
    sent = await people.ada.forging.submit_modal(await manager.click(panel, "Add a style"), typed | {"name": "Oil"})
    assert is_said(NotAManagerError, (await told(discord, sent)).text)
    changes = (await told(discord, await manager.click(panel, "Who changed what"))).text
    assert is_said(KEPT, changes, name="Ink")
    await manager.select(panel, "atelier-set:styles:style_remove", ["Ink"])
    await discord.wait_for(lambda: is_said(NONE_YET, panel.text))
    assert await bot.services.styles.fetch_all(people.guild.id) == []


async def test_the_first_minutes_in_a_new_server(discord: Sandbox, people: People, bot: LivingBot) -> None:
    guild = discord.add_guild("Meadow", has_bot=False)
    closed = guild.add_channel("closed", is_bot_free=True)
    lobby = guild.add_channel("lobby")
    boss = discord.act_as(guild.add_member("kim", permissions=int(Permission.MANAGE_GUILD)), lobby)
    guest = discord.act_as(guild.add_member("lee"), lobby)
    discord.add_bot(guild)
    hello: Any = await discord.wait_for(lambda: lobby.messages and lobby.messages[0])
    assert hello is not None
    assert is_said(HELLO, hello.text)
    assert not closed.messages
    refused = await told(discord, await guest.select(hello, "atelier-set:hello:safety", ["blur"]))
    assert is_said(NotAManagerError, refused.text)
    await boss.select(hello, "atelier-set:hello:safety", ["blur"])
    await discord.wait_for(lambda: get_option(SAFETY, "blur") in chosen(hello))
    assert (await bot.services.guilds.fetch(guild.id)).safety is SafetyLevel.BLUR
    assert len(lobby.messages_ever) == 2  # the greeting, and the refusal that only the guest saw


async def test_two_managers_at_once_lose_no_choice(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    """Three panels and a command beside each other; the trail names what is stored."""
    hal = discord.act_as(people.guild.add_member("hal", permissions=int(Permission.MANAGE_GUILD)), people.general)
    steps, size, safety = [await told(discord, await who.slash("settings")) for who in (manager, hal, manager)]
    await turn_to(discord, manager, safety, "safety")
    for number in range(8):
        most, px, level, zone = (20, 512, "block", "Europe/Berlin") if number % 2 else (50, 1024, "blur", "Asia/Tokyo")
        asked = await asyncio.gather(
            manager.select(steps, "atelier-set:what:max_steps", [str(most)]),
            hal.select(size, "atelier-set:what:max_side_px", [str(px)]),
            manager.select(safety, "atelier-set:safety:safety", [level]),
            hal.slash("quota timezone", zone=zone),
        )
        await asyncio.gather(*(each.wait_until_answered() for each in asked))
        stored = await bot.services.guilds.fetch(people.guild.id)
        assert stored == replace(
            stored,
            safety=SafetyLevel(level),
            timezone=zone,
            choices=replace(stored.choices, max_steps=most, max_side_px=px),
        )
        assert (await bot.services.guild_policy.fetch(people.guild.id)).settings == stored
    assert len(await bot.services.audit_log.fetch_changes(people.guild.id, limit=99)) == 4 * 8
