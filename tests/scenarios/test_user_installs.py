"""The bot where a person brought it along: servers that have not added it, groups, its own direct messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from cogs.common.errors import ManagedInServerError, NotTheOperatorError
from cogs.history._messages import KEPT_HERE
from cogs.operator._messages import USER_INSTALLS
from cogs.results._messages import IDENTICAL, format_undelivered
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.admission.errors import BlockedError, ServersOnlyError, UserInstallsOffError
from generation.errors import QuotaExceededError
from generation.owner import DM_TENANT, USER_TENANT, Owner
from generation.policy.errors import UncheckedModelError
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from generation.workers.frames import DEFAULT_ENGINE
from tests.messages import is_said
from tests.scenarios.bot_harness import (
    LivingBot,
    People,
    button_of,
    job_id_in,
    until_done,
    until_shown,
)
from tests.scenarios.test_ladder import TWENTY_MINUTES_S, settled

RED = "a red circle on a blue background"
MANAGING = {"block", "defaults", "list", "purge", "quota", "review", "rules", "safety", "settings", "style", "unblock"}
SERVERS_ONLY = {"token"}
REPORTING = "Report picture"


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    """A bot that may be brought along; not in direct messages otherwise."""
    owners = [people.mo.user.id]
    living = LivingBot(discord, tmp_path, blank_database, owner_ids=owners, allow_user_installs=True, allow_dms=False)
    discord.world.install_for(people.ada.user)
    await living.start()
    yield living
    await living.stop()


@pytest.fixture
def elsewhere(discord: Sandbox, people: People) -> ScriptedUser:
    """Ada, who has brought the bot along, in an age-restricted channel of a server that has not added it."""
    guild = discord.add_guild("Elsewhere", owner=people.ada.user, has_bot=False)
    guild.add_member(people.bo.user)
    return discord.act_as(people.ada.user, guild.add_channel("square", nsfw=True))


@pytest.fixture
def group(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.ada.user, discord.world.add_group("crew", people.ada.user, people.bo.user))


async def told(discord: Sandbox, asked: Interaction) -> Message:
    message = await until_shown(discord, asked)
    assert message.is_ephemeral
    return message


async def test_members_commands_come_along_and_those_that_manage_a_server_do_not(
    discord: Sandbox, bot: LivingBot, elsewhere: ScriptedUser, group: ScriptedUser
) -> None:
    assert {command["name"] for command in discord.commands if command["integration_types"] == [0]} == {
        *MANAGING,
        *SERVERS_ONLY,
        REPORTING,
    }
    for place in (elsewhere, group):
        offered = {command["name"] for command in place.list_visible_commands()}
        assert {"imagine", "history", "privacy", "Show recipe"} <= offered and not offered & (
            MANAGING | SERVERS_ONLY | {REPORTING}
        )


@pytest.mark.parametrize("where", ["elsewhere", "group"])
async def test_a_picture_is_painted_for_one_person_and_every_button_works_after_a_restart(
    where: str, discord: Sandbox, people: People, bot: LivingBot, request: pytest.FixtureRequest
) -> None:
    place: ScriptedUser = request.getfixturevalue(where)
    asked = await place.slash("imagine", prompt=RED, steps=2, seed=7)
    painted = await until_done(discord, asked)
    assert painted.is_ephemeral and painted.visible_to == people.ada.user.id and len(painted.attachments) == 1
    assert (await bot.job_of(asked)).owner == Owner(USER_TENANT, people.ada.user.id)
    recipe = await told(discord, await place.click(painted, button_of(painted, "recipe")))
    assert "7" in recipe.text
    again = await until_done(discord, await place.slash("reproduce", picture=job_id_in(painted)))
    assert again.is_ephemeral and is_said(IDENTICAL, again.text), again.text
    await bot.stop()
    await bot.start()
    rerolled = await until_done(discord, await place.click(painted, button_of(painted, "reroll")))
    assert rerolled.is_ephemeral and rerolled.attachments
    assert await place.slash("history") is not None
    assert [m for m in place.channel.messages if not m.is_ephemeral] == []


async def test_the_real_engine_paints_there_and_reproduces_byte_for_byte(
    discord: Sandbox, people: People, group: ScriptedUser, tmp_path: Path, blank_database: Path
) -> None:
    bot = LivingBot(discord, tmp_path, blank_database, engine=DEFAULT_ENGINE, allow_user_installs=True)
    discord.world.install_for(people.ada.user)
    await bot.start()
    painted = await until_done(discord, await group.slash("imagine", prompt=RED, steps=2, seed=7))
    again = await until_done(discord, await group.slash("reproduce", picture=job_id_in(painted)))
    assert is_said(IDENTICAL, again.text) and again.attachments[0].data == painted.attachments[0].data
    await bot.stop()


async def test_a_server_that_has_the_bot_decides_for_installed_users_too(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    public = await people.ada.slash("imagine", prompt=RED, steps=2)
    assert not (await until_done(discord, public)).is_ephemeral
    assert (await bot.job_of(public)).owner.guild_id == people.guild.id
    await bot.services.operator.set_standing(people.guild.id, AccessDecision.DENIED)
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED))
    assert "does not let me paint in this server" in refused.text
    await bot.services.operator.set_standing(people.guild.id, AccessDecision.ALLOWED)
    await bot.choose(GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(visibility=Visibility.PRIVATE)))
    private = await people.ada.slash("imagine", prompt=RED, steps=2)
    assert (await until_done(discord, private)).is_ephemeral


async def test_in_the_bots_direct_messages_only_who_has_installed_it_may_ask(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    mine = await discord.act_as(people.ada.user).slash("imagine", prompt=RED, steps=2)
    assert (await until_done(discord, mine)).attachments
    assert (await bot.job_of(mine)).owner.guild_id == USER_TENANT
    refused = await told(discord, await discord.act_as(people.bo.user).slash("imagine", prompt=RED))
    assert is_said(ServersOnlyError, refused.text)
    bot.client.services = replace(bot.services, allows_dms=True)
    direct = await discord.act_as(people.ada.user).slash("imagine", prompt=RED, steps=2)
    await until_done(discord, direct)
    assert (await bot.job_of(direct)).owner.guild_id == DM_TENANT


async def test_switched_off_again_it_refuses_old_buttons_and_offers_nothing(
    discord: Sandbox, people: People, bot: LivingBot, elsewhere: ScriptedUser
) -> None:
    painted = await until_done(discord, await elsewhere.slash("imagine", prompt=RED, steps=2))
    await bot.stop()
    bot.settings = bot.settings.model_copy(update={"allow_user_installs": False})
    await bot.start()
    assert [1] not in [command["integration_types"] for command in discord.commands]
    assert elsewhere.list_visible_commands() == []
    refused = await told(discord, await elsewhere.click(painted, button_of(painted, "reroll")))
    assert is_said(UserInstallsOffError, refused.text)


async def test_a_foreign_channel_counts_as_not_age_restricted(
    discord: Sandbox, bot: LivingBot, elsewhere: ScriptedUser
) -> None:
    bot.generation.checks_safety = False
    [paintbox, *_] = bot.generation.catalog.models
    real = replace(paintbox, name="real", safety_checker=None)
    bot.generation.catalog = replace(bot.generation.catalog, models=(paintbox, real))
    assert elsewhere.channel.nsfw
    refused = await told(discord, await elsewhere.slash("imagine", prompt=RED, model="real"))
    assert is_said(UncheckedModelError, refused.text)
    bot.generation.checks_safety = True


async def test_quotas_blocks_rate_and_share_hold_for_all_such_places_together(
    discord: Sandbox, people: People, bot: LivingBot, elsewhere: ScriptedUser, group: ScriptedUser
) -> None:
    assert is_said(
        NotTheOperatorError, (await told(discord, await people.ada.forging.slash("operator limit", pictures=1))).text
    )
    await told(discord, await people.mo.forging.slash("operator limit", pictures=1))
    await until_done(discord, await elsewhere.slash("imagine", prompt=RED, steps=2))
    over = await told(discord, await group.slash("imagine", prompt=RED, steps=2))
    assert is_said(QuotaExceededError, over.text), over.text
    await told(discord, await people.mo.forging.slash("operator limit"))
    await until_done(discord, await group.slash("imagine", prompt=RED, steps=2))
    await told(discord, await people.mo.forging.slash("operator block", user=people.ada.user))
    blocked = await told(discord, await group.slash("imagine", prompt=RED))
    assert is_said(BlockedError, blocked.text)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments, "not there"
    await told(discord, await people.mo.forging.slash("operator unblock", user=people.ada.user))
    await bot.choose(GuildSettings(guild_id=USER_TENANT, choices=GuildPreferences(requests_per_minute=1)))
    await until_done(discord, await group.slash("imagine", prompt=RED, steps=2))
    quick = await told(discord, await elsewhere.slash("imagine", prompt=RED))
    assert "minute" in quick.text or "second" in quick.text
    used = await told(discord, await people.mo.forging.slash("operator usage"))
    assert USER_INSTALLS in used.text
    await told(discord, await people.mo.forging.slash("operator weight", server=str(USER_TENANT), value=0.5))
    assert bot.generation.share_of(USER_TENANT)[0] == 0.5


async def test_nobody_sees_what_another_has_made_there(
    discord: Sandbox, people: People, bot: LivingBot, elsewhere: ScriptedUser
) -> None:
    painted = await until_done(discord, await elsewhere.slash("imagine", prompt=RED, steps=2))
    discord.world.install_for(people.bo.user)
    bo = discord.act_as(people.bo.user, elsewhere.channel)
    history = await told(discord, await bo.slash("history"))
    assert job_id_in(painted) not in str(history.buttons)
    forged = await told(discord, await bo.forging.click(painted, button_of(painted, "recipe")))
    assert RED not in forged.text
    mine = await until_shown(discord, await elsewhere.slash("history"))
    assert RED in mine.text
    seen_here = await told(discord, await people.ada.slash("history"))
    assert job_id_in(painted) not in str(seen_here.buttons), "another tenant"


async def test_a_result_after_the_token_is_told_by_direct_message_and_kept(
    discord: Sandbox, people: People, bot: LivingBot, group: ScriptedUser
) -> None:
    await bot.hold_painting()
    asked = await group.slash("imagine", prompt=RED, steps=2)
    job_id = job_id_in(await until_shown(discord, asked))
    discord.clock.advance(TWENTY_MINUTES_S)
    bot.go_on_painting()
    direct = discord.world.open_direct_channel(people.ada.user)
    (note,) = await discord.wait_for(lambda: direct.messages)
    assert note.text == format_undelivered(["the private answer has expired"])
    await settled(bot, job_id)
    history = await until_shown(discord, await group.slash("history"))
    assert is_said(KEPT_HERE, history.text) and job_id_in(history).startswith(job_id)
    called = [call for call in discord.journal.calls if call.method == "POST" and "/channels/" in call.path]
    assert not [call for call in called if str(group.channel.id) in call.path], "the bot is not in the group"


async def test_privacy_shows_and_deletes_it(
    discord: Sandbox, people: People, bot: LivingBot, elsewhere: ScriptedUser
) -> None:
    job_id = job_id_in(await until_done(discord, await elsewhere.slash("imagine", prompt=RED, steps=2)))
    shown = await told(discord, await elsewhere.slash("privacy"))
    assert "1 request" in shown.text
    await told(discord, await people.ada.slash("privacy", what="delete", sure="DELETE"))
    assert not (await bot.services.personal.count(people.ada.user.id))[0], job_id


async def test_who_manages_a_server_without_the_bot_manages_nothing_here(
    discord: Sandbox, bot: LivingBot, elsewhere: ScriptedUser
) -> None:
    refused = await told(discord, await elsewhere.forging.slash("settings"))
    assert is_said(ManagedInServerError, refused.text)


async def test_members_without_the_right_to_use_such_apps_answer_to_themselves(
    discord: Sandbox, people: People, bot: LivingBot, elsewhere: ScriptedUser
) -> None:
    guild = elsewhere.channel.guild
    assert guild is not None
    guild.set_permissions(guild.everyone, guild.everyone.permissions & ~Permission.USE_EXTERNAL_APPS)
    discord.world.install_for(people.bo.user)
    asked = await discord.act_as(people.bo.user, elsewhere.channel).slash("imagine", prompt=RED, steps=2)
    assert (await until_done(discord, asked)).is_ephemeral
