"""Quotas and use as people meet them: set by a manager, met by a member, looked at by both."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from cogs.common.errors import NotAManagerError
from cogs.common.formatting import format_pictures
from cogs.common.status_lines import BOOST, SHARE, WEIGHT
from cogs.quota._messages import DAY_START, NO_QUOTAS, format_quota
from cogs.usage._messages import LEFT, TODAY
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.errors import QuotaExceededError
from generation.owner import Owner
from generation.policy.errors import UnknownTimeZoneError
from generation.policy.guild_settings import RoleBoost
from generation.policy.quota import TOO_MUCH, Quota, Scope, Unit
from generation.requests.cost import UNITS_PER_STEP
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown
from tests.stored import fetch_jobs

RED = "a red circle on a blue background"


@pytest.fixture
def manager(discord: Sandbox, people: People) -> ScriptedUser:
    return discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)


async def told(discord: Sandbox, asked: Interaction) -> Message:
    assert asked.ephemeral
    return await until_shown(discord, asked)


def each_member(guild_id: int, limit: int) -> Quota:
    return Quota(scope=Scope.ROLE, subject_id=guild_id, unit=Unit.IMAGES, limit=limit)


def shown_as(quota: Quota, people: People) -> str:
    return format_quota(quota, people.guild.id).replace("\N{NO-BREAK SPACE}", " ")


async def test_a_quota_is_set_met_refused_and_removed(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    said = await told(discord, await manager.slash("quota set", limit=3, role=people.guild.everyone))
    line = shown_as(each_member(people.guild.id, 3), people)
    assert f"{line}\n" in said.text, "everyone has no role to mention"
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2, count=2))
    refused = await people.ada.slash("imagine", prompt=RED, count=2)
    await discord.wait_for(lambda: refused.followups)
    assert refused.followups[0].is_ephemeral
    assert is_said(QuotaExceededError, refused.followups[0].content, limit=3, left=1, needed=2)
    await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=2, count=2))
    assert is_said(LEFT, (await told(discord, await people.ada.slash("usage"))).text, number=1)
    gone = await told(discord, await manager.slash("quota remove", role=people.guild.everyone))
    assert is_said(NO_QUOTAS, gone.text)
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2, count=2))


async def test_steps_hours_members_and_time_zones(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    await told(discord, await manager.slash("quota set", limit=1, of="cost", member=people.ada.user, hours=6))
    await told(discord, await manager.slash("quota set", limit=500))
    offered = await manager.autocomplete("quota timezone", focused="zone", value="berlin")
    assert [each["value"] for each in offered] == ["Europe/Berlin"]
    await told(discord, await manager.slash("quota timezone", zone="Europe/Berlin"))
    shown = (await told(discord, await manager.slash("quota show"))).text
    everyone = Quota(scope=Scope.GUILD, subject_id=0, unit=Unit.IMAGES, limit=500)
    assert shown_as(everyone, people) in shown
    alone = Quota(scope=Scope.USER, subject_id=people.ada.user.id, unit=Unit.COST, limit=UNITS_PER_STEP, window_hours=6)
    assert shown_as(alone, people) in shown
    assert is_said(DAY_START, shown, timezone="Europe/Berlin")
    refused = await people.ada.slash("imagine", prompt=RED, steps=50)
    await discord.wait_for(lambda: refused.followups)
    assert is_said(QuotaExceededError, refused.followups[0].content, limit=1, left=1, renewal=TOO_MUCH)
    said = (await told(discord, await manager.slash("quota timezone", zone="Mars/Olympus"))).text
    assert is_said(UnknownTimeZoneError, said, name="Mars/Olympus")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("quota show", {}),
        ("quota set", {"limit": 1}),
        ("quota remove", {}),
        ("quota timezone", {"zone": "UTC"}),
        ("usage", {"whose": "server"}),
    ],
)
async def test_only_managers_may_whatever_the_client_lets_through(
    discord: Sandbox, people: People, bot: LivingBot, command: str, options: dict[str, object]
) -> None:
    said = await told(discord, await people.mo.forging.slash(command, **options))
    assert is_said(NotAManagerError, said.text)
    assert await bot.services.quotas.fetch_quotas(people.guild.id) == []


async def test_usage_is_a_chart_with_words_for_those_who_cannot_see_it(
    discord: Sandbox, people: People, bot: LivingBot, manager: ScriptedUser
) -> None:
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2, count=3))
    await until_done(discord, await people.bo.slash("imagine", prompt=RED, steps=2))
    own = await told(discord, await people.ada.slash("usage"))
    assert is_said(TODAY, own.text) and format_pictures(3) in own.text
    [chart] = own.attachments
    picture = Image.open(io.BytesIO(chart.data))
    assert (picture.format, picture.size) == ("PNG", (1040, 440))
    assert chart.description.endswith(", 0, 3.")
    everybody = await told(discord, await manager.slash("usage", whose="server"))
    assert f"**1** <@{people.ada.user.id}> · {format_pictures(3)}" in everybody.text
    assert f"**2** <@{people.bo.user.id}> · {format_pictures(1)}" in everybody.text
    assert everybody.attachments[0].description.endswith(", 0, 4.")


async def test_weights_and_boosts_are_visible(discord: Sandbox, people: People, bot: LivingBot) -> None:
    bot.generation.set_weight(people.guild.id, 3.0)
    bot.generation.set_boost(RoleBoost(guild_id=people.guild.id, role_id=people.guild.id, boost=2.0))
    shown = await told(discord, await people.ada.slash("queue"))
    assert is_said(SHARE, shown.text, part="100%") and is_said(WEIGHT, shown.text, weight=3)
    assert is_said(BOOST, shown.text, times=2)
    message = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    assert message.attachments
    [job] = await fetch_jobs(bot.jobs, Owner(people.guild.id, people.ada.user.id))
    assert job.boost == 2.0
