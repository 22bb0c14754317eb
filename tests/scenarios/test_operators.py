"""Those who run the bot: closing, announcing, whom it serves, weights, and what was used over all servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cogs.common.errors import ServerIdError
from cogs.common.formatting import format_pictures
from cogs.common.status_lines import PAUSED as BOT_PAUSED
from cogs.operator._messages import (
    ALL_BUT_DENIED,
    ALLOWED,
    CHECKED_TWICE,
    CLOSED,
    DIRECT_MESSAGES,
    GPU_SECONDS,
    NOT_SERVED,
    NOTHING_USED,
    ONLY_ALLOWED,
    OTHER_WEIGHT,
    PAUSED,
    WEIGHT,
    format_announced,
    format_closed,
    format_standing,
)
from cogs.privacy._cog import OF_YOU
from cogs.results._by_picture import CANCELLED, CANCELLED_LATE
from cogs.results._messages import NEXT
from cogs.results._messages import PAUSED as WAITING_PAUSED
from cogs.settings._views import HELLO
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.errors import ClosedError
from generation.policy.errors import GuildDeniedError, GuildNotNamedError
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings, say_weight
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, is_going, until_done, until_shown

RED = "a red circle on a blue background"


async def told(discord: Sandbox, asked: Interaction) -> Message:
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message


@pytest.fixture
def boss(people: People, bot: LivingBot) -> ScriptedUser:
    """Mo runs the bot, and manages no server."""
    run_by(people, bot)
    return people.mo.forging


def run_by(people: People, bot: LivingBot) -> None:
    bot.client.services = replace(bot.services, owner_ids=frozenset({people.mo.user.id}))


async def test_the_kill_switch_and_closed_outlive_a_restart(
    discord: Sandbox, people: People, bot: LivingBot, boss: ScriptedUser
) -> None:
    going = await people.ada.slash("imagine", prompt="an endless-image", steps=5)
    await until_shown(discord, going)
    assert format_closed(1) in (await told(discord, await boss.slash("operator close", stop=True))).text
    ended = (await until_done(discord, going)).text
    assert is_said(CANCELLED, ended) or is_said(CANCELLED_LATE, ended)
    await bot.stop()
    await bot.start()
    run_by(people, bot)
    refused = await told(discord, await people.ada.slash("imagine", prompt=RED))
    assert is_said(ClosedError, refused.text)
    assert is_said(CLOSED, (await told(discord, await boss.slash("operator state"))).text)
    await told(discord, await boss.slash("operator open"))
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments


async def test_a_pause_begins_nothing_and_outlives_a_restart(
    discord: Sandbox, people: People, bot: LivingBot, boss: ScriptedUser
) -> None:
    await told(discord, await boss.slash("operator pause"))
    asked = await people.ada.slash("imagine", prompt=RED, steps=2)
    waiting = await until_shown(discord, asked)
    assert is_said(WAITING_PAUSED, waiting.text)
    for command in ("queue", "about"):
        assert is_said(BOT_PAUSED, (await told(discord, await people.ada.slash(command))).text)
    await bot.stop()
    await bot.start()
    run_by(people, bot)
    assert is_said(PAUSED, (await told(discord, await boss.slash("operator state"))).text)
    assert bot.generation.num_running == 0
    assert is_going(asked.original_message)
    await told(discord, await boss.slash("operator resume"))
    assert (await until_done(discord, asked)).attachments


async def test_who_waited_before_a_pause_hears_of_it_and_of_its_end(
    discord: Sandbox, people: People, bot: LivingBot, boss: ScriptedUser
) -> None:
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    await bot.hold_painting()
    asked = [await people.ada.slash("imagine", prompt=RED, steps=2, count=4) for _ in range(2)]
    waiting = [await until_shown(discord, each) for each in asked][-1]
    await discord.wait_for(lambda: is_said(NEXT, waiting.text))
    await told(discord, await boss.slash("operator pause"))
    await discord.wait_for(lambda: is_said(WAITING_PAUSED, waiting.text))
    await told(discord, await boss.slash("operator resume"))
    await discord.wait_for(lambda: is_said(NEXT, waiting.text))
    bot.go_on_painting()
    for each in asked:
        assert (await until_done(discord, each)).attachments


async def test_a_denied_server_is_refused_politely_until_it_is_allowed(
    discord: Sandbox, people: People, bot: LivingBot, boss: ScriptedUser
) -> None:
    painted = await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))
    harbour = str(people.guild.id)
    offered = await boss.autocomplete("operator deny", focused="server", value="harb")
    assert offered == [{"name": f"Harbour ({harbour})", "value": harbour}]
    assert await people.ada.forging.autocomplete("operator deny", focused="server", value="harb") == []
    assert is_said(ServerIdError, (await told(discord, await boss.slash("operator deny", server="Harbour"))).text)

    denied = format_standing(people.guild.id, "Harbour", AccessDecision.DENIED)
    assert (await told(discord, await boss.slash("operator deny", server=harbour))).text == denied
    for asked in (await people.ada.slash("imagine", prompt=RED), await people.bo.click(painted, "Reroll")):
        assert is_said(GuildDeniedError, (await told(discord, asked)).text)
    shown = (await told(discord, await people.ada.slash("privacy"))).text
    assert is_said(OF_YOU, shown, pictures=format_pictures(1)), "what concerns one's own data works everywhere"
    assert is_said(ALL_BUT_DENIED, (await told(discord, await boss.slash("operator state"))).text, number=1)

    await told(discord, await boss.slash("operator allow", server=harbour))
    listed_only = await told(discord, await boss.slash("operator admission", only_allowed=True))
    assert is_said(ONLY_ALLOWED, listed_only.text, number=1)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=2))).attachments
    meadow = discord.add_guild("Meadow")
    lobby = meadow.add_channel("lobby")
    lee = discord.act_as(meadow.add_member("lee"), lobby)
    refused = await told(discord, await lee.slash("imagine", prompt=RED))
    assert is_said(GuildNotNamedError, refused.text)
    listed = (await told(discord, await boss.slash("operator servers"))).text
    assert f"**Harbour** · `{harbour}` · {ALLOWED}" in listed
    assert f"**Meadow** · `{meadow.id}` · {NOT_SERVED}" in listed
    assert not [each for each in lobby.messages if is_said(HELLO, each.text)], "no greeting where it may not paint"
    await bot.stop()
    await bot.start()
    assert is_said(GuildNotNamedError, (await told(discord, await lee.slash("imagine", prompt=RED))).text)


async def test_an_announcement_reaches_each_server_once_and_rings_no_bell(
    discord: Sandbox, people: People, bot: LivingBot, boss: ScriptedUser
) -> None:
    log = people.guild.add_channel("log")
    settings = GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(log_channel_id=log.id))
    await bot.choose(settings)
    meadow, cave = (discord.add_guild(name, has_bot=False) for name in ("Meadow", "Cave"))
    hall = cave.add_channel("hall")
    lobby = meadow.add_channel("lobby")
    meadow.system_channel = lobby
    for guild in (meadow, cave):
        discord.add_bot(guild)
        await discord.wait_for(lambda guild=guild: bot.client.get_guild(guild.id))  # type: ignore[misc]
    text = "@everyone The bot moves house on Sunday."
    for _ in range(2):
        said = (await told(discord, await boss.slash("operator announce", text=text))).text
        assert said == format_announced(told=2, untold=1)
    for channel, number in ((log, 1), (lobby, 1), (hall, 0), (people.general, 0)):
        found = [each for each in channel.messages if "moves house" in each.content]
        assert len(found) == number, channel
        assert all(each.allowed_mentions == {"parse": []} for each in found)


async def test_usage_over_all_weights_and_models(
    discord: Sandbox, people: People, bot: LivingBot, boss: ScriptedUser
) -> None:
    nothing = (await told(discord, await boss.slash("operator usage"))).text
    assert is_said(NOTHING_USED, nothing)
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=4, count=2))
    await until_done(discord, await discord.act_as(people.bo.user).slash("imagine", prompt=RED, steps=4))
    used = (await told(discord, await boss.slash("operator usage", days=1))).text
    assert f"Harbour · {format_pictures(2)}" in used
    assert f"{DIRECT_MESSAGES} · {format_pictures(1)}" in used
    assert is_said(GPU_SECONDS, used)
    discord.clock.advance(3 * 24 * 3600)
    assert is_said(NOTHING_USED, (await told(discord, await boss.slash("operator usage", days=1))).text)

    harbour = str(people.guild.id)
    asked = await boss.slash("operator weight", server=harbour)
    assert is_said(WEIGHT, (await told(discord, asked)).text, id=harbour, value=1)
    await told(discord, await boss.slash("operator weight", server=harbour, value=2.5))
    assert bot.generation.share_of(people.guild.id)[0] == 2.5
    assert (await bot.services.guilds.fetch(people.guild.id)).weight == 2.5
    assert is_said(OTHER_WEIGHT, (await told(discord, await boss.slash("operator servers"))).text, value=2.5)
    manager = discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)
    panel = await told(discord, await manager.slash("settings"))
    changes = (await told(discord, await manager.click(panel, "Who changed what"))).text
    assert is_said(say_weight(2.5).template, changes, value="2\\.5"), "its managers can read what the operator does"
    shown = (await told(discord, await boss.slash("operator models"))).text
    assert "**paintbox** · sd · MIT" in shown
    assert is_said(CHECKED_TWICE, shown)
