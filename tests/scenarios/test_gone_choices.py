"""Choices of a server whose roles, channels or models are gone, or that cannot work: told, and taken away again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogs.common.deleted_references import DELETED_ROLE, format_channel, format_role
from cogs.common.errors import IdError, NotAModeratorError, OneMemberError, RoleDeletedError, UnknownQuotaError
from cogs.common.policy_checks import NOTHING_LEFT
from cogs.moderation._cog import UNBLOCKED
from cogs.moderation._messages import PURGE_QUESTION, format_purged
from cogs.quota._messages import BINDS_NO_ONE, LOCKED_OUT, format_removed
from cogs.rules._messages import FOR_ROLES, HOLDS_NOWHERE, IN_CHANNELS
from cogs.settings._notes import DELETES_OLD, NO_CHANNEL_LEFT, NO_LONGER_THERE, UNWRITABLE
from discord_sandbox import Permission, Sandbox, ScriptedUser
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done
from tests.scenarios.test_settings_of_a_server import RED, choose, chosen, told, turn_to


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
    assert is_said(DELETED_ROLE, shown, id=role.id) and is_said(BINDS_NO_ONE, shown)
    refused = await told(discord, await manager.forging.slash("quota set", limit=9, role=role))
    assert is_said(RoleDeletedError, refused.text)
    for id_, kind in (("12345", UnknownQuotaError), ("x", IdError)):
        assert is_said(kind, (await told(discord, await manager.slash("quota remove", id=id_))).text)
    assert len(await bot.services.quotas.fetch_quotas(people.guild.id)) == 2
    removed = (await told(discord, await manager.slash("quota remove", id=str(role.id)))).text
    quota = Quota(scope=Scope.ROLE, subject_id=role.id, unit=Unit.IMAGES, limit=5)
    assert format_removed(quota, people.guild.id, gone=[role.id]) in removed
    assert [each.limit for each in await bot.services.quotas.fetch_quotas(people.guild.id)] == [9]
    await told(discord, await manager.slash("quota remove"))
    assert is_said(UnknownQuotaError, (await told(discord, await manager.slash("quota remove"))).text)


async def test_a_quota_that_locks_everyone_out_says_so(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    assert is_said(LOCKED_OUT, (await told(discord, await manager.slash("quota set", limit=0))).text)
    said = await told(discord, await manager.slash("quota set", limit=0, role=people.guild.add_role("muted")))
    assert is_said(LOCKED_OUT, said.text), "the other one still does"
    assert not is_said(LOCKED_OUT, (await told(discord, await manager.slash("quota set", limit=1))).text)


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
    assert is_said(NOTHING_LEFT["channel_ids"], refused)
    panel = await told(discord, await manager.slash("settings"))
    assert is_said(NO_LONGER_THERE, panel.text, listed="`gone\\-model`")
    await choose(manager, panel, "what", "max_steps", "20")
    await turn_to(discord, manager, panel, "who")
    assert is_said(NO_LONGER_THERE, panel.text, listed=f"`{gallery.id}`")
    assert is_said(NO_CHANNEL_LEFT, panel.text)
    assert is_said(NO_LONGER_THERE, panel.text, listed=f"`{artists.id}`")
    assert str(artists.id) not in chosen(panel) and str(others.id) in chosen(panel)
    await manager.click(panel, "Remove what is gone")
    await discord.wait_for(lambda: not is_said(NO_LONGER_THERE, panel.text))
    left = (await bot.services.guilds.fetch(people.guild.id)).choices
    assert left == GuildPreferences(role_ids=(others.id,), models=("paintbox",), max_steps=20)
    people.guild.members[people.ada.user.id].add_role(others)
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))


async def test_a_server_whose_models_or_roles_are_all_gone_says_which_choice_it_is(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    settings = GuildSettings(guild_id=people.guild.id)
    for choices, gone in (
        (GuildPreferences(models=("gone-model",)), "models"),
        (GuildPreferences(role_ids=(12345,)), "role_ids"),
    ):
        await bot.choose(replace(settings, choices=choices))
        refused = (await told(discord, await people.ada.slash("imagine", prompt=RED))).text
        assert is_said(NOTHING_LEFT[gone], refused)


async def test_channels_that_are_closed_to_the_bot_are_named(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    closed = people.guild.add_channel("closed", is_bot_free=True)
    forum = people.guild.make_channel("forum", 15)
    panel = await told(discord, await manager.slash("settings"))
    await turn_to(discord, manager, panel, "who")
    await choose(manager, panel, "who", "channel_ids", closed)
    await discord.wait_for(lambda: is_said(UNWRITABLE, panel.text, channels=f"<#{closed.id}>"))
    await turn_to(discord, manager, panel, "safety")
    await choose(manager, panel, "safety", "log_channel_id", closed)
    await discord.wait_for(lambda: is_said(UNWRITABLE, panel.text, channels=f"<#{closed.id}>"))
    wrong = await manager.forging.select(panel, "atelier-set:safety:log_channel_id", [forum])
    assert "Choose from the menu" in (await told(discord, wrong)).text, "nothing can be told in a forum"
    closed.set_overwrite(people.guild.bot_member, allow=0)
    again = await told(discord, await manager.slash("settings"))
    await turn_to(discord, manager, again, "safety")
    assert not is_said(UNWRITABLE, again.text), "it was put right meanwhile"


async def test_rules_of_deleted_channels_and_roles(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    channel, role = people.guild.add_channel("old"), people.guild.add_role("old")
    await told(discord, await manager.slash("rules add", text="gremlin", channel=channel))
    await told(discord, await manager.slash("rules add", text="goblin", role=role))
    rules = await bot.services.content_rules.fetch_rules(people.guild.id)
    channel.delete()
    people.guild.remove_role(role)
    listed = (await told(discord, await manager.slash("rules list"))).text
    gone = (format_channel(channel.id, [channel.id]), format_role(role.id, [role.id]))
    assert is_said(IN_CHANNELS, listed, channels=gone[0]) and is_said(FOR_ROLES, listed, roles=gone[1])
    assert [is_said(HOLDS_NOWHERE, listed, number=each.id) for each in rules] == [True, True]
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
    assert is_said(UNBLOCKED, said.text, whom=f"<@{people.ada.user.id}>")


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
    assert is_said(PURGE_QUESTION, asked.text, whom=f"<@{people.ada.user.id}>")
    assert list((bot.data_dir / "pictures").rglob("*.png")), "nothing is gone yet"
    forged = await people.bo.forging.click(asked, "Delete all of them")
    assert is_said(NotAModeratorError, (await told(discord, forged)).text)
    assert list((bot.data_dir / "pictures").rglob("*.png"))
    done = await told(discord, await manager.click(asked, "Delete all of them"))
    assert format_purged(1) in done.text
    panel = await told(discord, await manager.slash("settings"))
    await turn_to(discord, manager, panel, "safety")
    assert not is_said(DELETES_OLD, panel.text)
    await choose(manager, panel, "safety", "retention_days", "1")
    await discord.wait_for(lambda: is_said(DELETES_OLD, panel.text))
