"""Choices of a server whose roles, channels or models are gone, or that cannot work: told, and taken away again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogs.common.errors import IdError, OneMemberError, RoleDeletedError, UnknownQuotaError
from discord_sandbox import Permission, Sandbox, ScriptedUser
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done
from tests.scenarios.test_settings_of_a_server import RED, choose, chosen, told


@pytest.fixture
def manager(discord: Sandbox, people: People) -> ScriptedUser:
    permissions = int(Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES)
    return discord.act_as(people.guild.add_member("gil", permissions=permissions), people.general)


@pytest.mark.parametrize("while_away", [False, True])
async def test_a_quota_of_a_deleted_role_is_told_and_removed(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser, while_away: bool
) -> None:
    role = people.guild.add_role("beta testers")
    await told(discord, await manager.slash("quota set", limit=5, role=role))
    await told(discord, await manager.slash("quota set", limit=9))
    if while_away:
        await bot.stop()
    people.guild.remove_role(role)
    if while_away:
        await bot.start()
    shown = (await told(discord, await manager.slash("quota show"))).text
    assert f"role `{role.id}` (deleted)" in shown and "/quota remove id:" in shown
    refused = await told(discord, await manager.forging.slash("quota set", limit=9, role=role))
    assert is_said(RoleDeletedError, refused.text)
    for id_, kind in (("12345", UnknownQuotaError), ("x", IdError)):
        assert is_said(kind, (await told(discord, await manager.slash("quota remove", id=id_))).text)
    assert len(await bot.services.quotas.fetch_quotas(people.guild.id)) == 2
    removed = (await told(discord, await manager.slash("quota remove", id=str(role.id)))).text
    assert f"Removed the quota of pictures for each member with role `{role.id}` (deleted)" in removed
    assert [each.limit for each in await bot.services.quotas.fetch_quotas(people.guild.id)] == [9]
    await told(discord, await manager.slash("quota remove"))
    assert is_said(UnknownQuotaError, (await told(discord, await manager.slash("quota remove"))).text)


async def test_a_quota_that_locks_everyone_out_says_so(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    assert "Nobody can ask" in (await told(discord, await manager.slash("quota set", limit=0))).text
    said = await told(discord, await manager.slash("quota set", limit=0, role=people.guild.add_role("muted")))
    assert "Nobody can ask" in said.text, "the other one still does"
    assert "Nobody can ask" not in (await told(discord, await manager.slash("quota set", limit=1))).text


async def test_deleted_channels_and_roles_and_models_in_the_panel(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    gallery, log = people.guild.add_channel("gallery"), people.guild.add_channel("log")
    artists, others = people.guild.add_role("Artists"), people.guild.add_role("Others")
    choices = GuildPreferences(
        channel_ids=(gallery.id,),
        role_ids=(artists.id, others.id),
        log_channel_id=log.id,
        models=("paintbox", "gone-model"),
        default_model="gone-model",
    )
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=choices))
    gallery.delete()
    log.delete()
    people.guild.remove_role(artists)
    refused = (await told(discord, await people.ada.slash("imagine", prompt=RED))).text
    assert refused.startswith("All channels where this server lets me paint were deleted.") and "/settings" in refused
    panel = await told(discord, await manager.slash("settings"))
    assert "No longer there: `gone\\-model`." in panel.text
    await choose(manager, panel, "what", "max_steps", "20")
    await manager.click(panel, "Where and who")
    await discord.wait_for(lambda: "Settings · Where and who" in panel.text)
    assert f"No longer there: `{gallery.id}`." in panel.text
    assert "I paint nowhere here" in panel.text
    assert f"No longer there: `{artists.id}`." in panel.text
    assert str(artists.id) not in chosen(panel) and str(others.id) in chosen(panel)
    await manager.click(panel, "Remove what is gone")
    await discord.wait_for(lambda: "No longer there" not in panel.text)
    left = (await bot.services.guilds.fetch(people.guild.id)).choices
    assert left == GuildPreferences(role_ids=(others.id,), models=("paintbox",), max_steps=20)
    people.guild.members[people.ada.user.id].add_role(others)
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))


async def test_a_server_whose_models_or_roles_are_all_gone_says_which_choice_it_is(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    settings = GuildSettings(guild_id=people.guild.id)
    for choices, why in (
        (GuildPreferences(models=("gone-model",)), "None of the models that this server allows is here any more."),
        (GuildPreferences(role_ids=(12345,)), "All roles whose members may paint in this server were deleted."),
    ):
        await bot.choose(replace(settings, choices=choices))
        assert why in (await told(discord, await people.ada.slash("imagine", prompt=RED))).text


async def test_channels_that_are_closed_to_the_bot_are_named(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    closed = people.guild.add_channel("closed", is_bot_free=True)
    forum = people.guild.make_channel("forum", 15)
    panel = await told(discord, await manager.slash("settings"))
    await manager.click(panel, "Where and who")
    await discord.wait_for(lambda: "Settings · Where and who" in panel.text)
    await choose(manager, panel, "who", "channel_ids", closed)
    await discord.wait_for(lambda: f"I may not write in <#{closed.id}>" in panel.text)
    await manager.click(panel, "Safety and keeping")
    await discord.wait_for(lambda: "Settings · Safety" in panel.text)
    await choose(manager, panel, "safety", "log_channel_id", closed)
    await discord.wait_for(lambda: f"I may not write in <#{closed.id}>" in panel.text)
    wrong = await manager.forging.select(panel, "atelier-set:safety:log_channel_id", [forum])
    assert "Choose from the menu" in (await told(discord, wrong)).text, "nothing can be told in a forum"
    closed.set_overwrite(people.guild.bot_member, allow=0)
    again = await told(discord, await manager.slash("settings"))
    await manager.click(again, "Safety and keeping")
    await discord.wait_for(lambda: "Settings · Safety" in again.text)
    assert "I may not write" not in again.text, "it was put right meanwhile"


async def test_rules_of_deleted_channels_and_roles(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    channel, role = people.guild.add_channel("old"), people.guild.add_role("old")
    await told(discord, await manager.slash("rules add", text="gremlin", channel=channel))
    await told(discord, await manager.slash("rules add", text="goblin", role=role))
    channel.delete()
    people.guild.remove_role(role)
    listed = (await told(discord, await manager.slash("rules list"))).text
    assert f"in channel `{channel.id}` (deleted)" in listed and f"for role `{role.id}` (deleted)" in listed
    assert listed.count("holds nowhere any more") == 2
    refused = await told(discord, await manager.forging.slash("rules add", text="imp", role=role))
    assert "is not in this server any more" in refused.text
    assert len(await bot.services.content_rules.fetch_rules(people.guild.id)) == 2


async def test_a_member_who_left_is_unblocked_by_their_number(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    await told(discord, await manager.slash("block", member=people.ada.user))
    people.guild.remove_member(people.guild.members[people.ada.user.id])
    both = await told(discord, await manager.slash("unblock", member=people.bo.user, id="1"))
    assert is_said(OneMemberError, both.text)
    assert is_said(OneMemberError, (await told(discord, await manager.slash("unblock"))).text)
    said = await told(discord, await manager.slash("unblock", id=str(people.ada.user.id)))
    assert "can ask again" in said.text


async def test_a_style_that_names_what_no_model_has_is_refused(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    refused = await told(discord, await manager.slash("style add", name="Ink", prompt="in ink <lora:gone:0.8>"))
    assert "gone" in refused.text
    assert await bot.services.styles.fetch_all(people.guild.id) == []


async def test_what_cannot_be_undone_is_asked_first(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    asked = await told(discord, await manager.slash("purge", member=people.ada.user))
    assert "This cannot be undone." in asked.text
    assert list((bot.data_dir / "pictures").rglob("*.png")), "nothing is gone yet"
    forged = await people.bo.forging.click(asked, "Delete all of them")
    assert "Manage Messages" in (await told(discord, forged)).text
    assert list((bot.data_dir / "pictures").rglob("*.png"))
    done = await told(discord, await manager.click(asked, "Delete all of them"))
    assert "1 picture deleted" in done.text
    panel = await told(discord, await manager.slash("settings"))
    await manager.click(panel, "Safety and keeping")
    await discord.wait_for(lambda: "Settings · Safety" in panel.text)
    assert "cannot be brought back" not in panel.text
    await choose(manager, panel, "safety", "retention_days", "1")
    await discord.wait_for(lambda: "cannot be brought back" in panel.text)
