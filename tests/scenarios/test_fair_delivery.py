"""What Discord makes one channel or server wait for holds up no other. Judged by order: the waits outlast the test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cogs.common import posting_turns
from cogs.operator._messages import format_announced
from discord_sandbox import Channel, Interaction, Permission, Sandbox, ScriptedUser
from discord_sandbox.faults import Fault
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.scheduling.delivery_turns import PLACES
from tests.scenarios.bot_harness import LivingBot, People, is_going, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"
CROWD = PLACES + 4
AN_HOUR_S = 3600.0
TWENTY_MINUTES_S = 20 * 60

Where = Callable[[Sandbox, People], list[Channel]]


def one_channel(discord: Sandbox, people: People) -> list[Channel]:
    return [people.general] * CROWD


def many_channels(discord: Sandbox, people: People) -> list[Channel]:
    return [people.guild.add_channel(f"room-{number}") for number in range(CROWD)]


def many_servers(discord: Sandbox, people: People) -> list[Channel]:
    return [discord.add_guild(f"Town {number}").add_channel("square") for number in range(CROWD)]


def someone(discord: Sandbox, channel: Channel) -> ScriptedUser:
    assert channel.guild is not None
    return discord.act_as(channel.guild.add_member(f"m{len(channel.guild.members)}"), channel)


def rate_limit(discord: Sandbox, path: str, method: str = "*") -> Fault:
    return discord.faults.rate_limit(path, method=method, times=10_000, retry_after_s=AN_HOUR_S)


def hang(discord: Sandbox, path: str, method: str = "*") -> Fault:
    return discord.faults.delay(path, method=method, times=10_000, wait_s=AN_HOUR_S)


async def all_painted(discord: Sandbox, bot: LivingBot, asked: list[Interaction]) -> None:
    jobs = [job_id_in(await until_shown(discord, each)) for each in asked]
    bot.go_on_painting()
    for job_id in jobs:
        await bot.generation.finished(job_id)


@pytest.fixture
def zoe(discord: Sandbox) -> ScriptedUser:
    """Somebody in a server that has nothing to do with any of it."""
    return someone(discord, discord.add_guild("Quiet").add_channel("square"))


@pytest.mark.parametrize(
    ("where", "trouble"),
    [
        (many_servers, rate_limit),
        (many_channels, hang),
        *(pytest.param(each, rate_limit, marks=pytest.mark.long) for each in (one_channel, many_channels)),
        *(pytest.param(each, hang, marks=pytest.mark.long) for each in (one_channel, many_servers)),
    ],
)
async def test_results_that_wait_for_discord_hold_up_no_other_channel(
    trouble: Callable[[Sandbox, str], Fault],
    where: Where,
    discord: Sandbox,
    people: People,
    bot: LivingBot,
    zoe: ScriptedUser,
) -> None:
    channels = where(discord, people)
    neighbour = someone(discord, people.guild.add_channel("elsewhere"))
    await bot.hold_painting()
    asked = [await someone(discord, channel).slash("imagine", prompt=RED, steps=1) for channel in channels]
    for each in asked:
        await until_shown(discord, each)
    discord.clock.advance(TWENTY_MINUTES_S)  # the tokens are too old: what counts is each channel's limit
    for channel in set(channels):
        trouble(discord, f"/channels/{channel.id}/*")
    await all_painted(discord, bot, asked)
    await cut_off(bot)  # what waits now are results, not progress
    for other in (zoe, neighbour):
        assert (await until_done(discord, await other.slash("imagine", prompt=RED, steps=1))).attachments
    assert not [message for channel in channels for message in channel.messages if message.attachments]


async def test_one_answer_that_does_not_come_holds_up_no_other_in_its_channel(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    await bot.hold_painting()
    first = await people.ada.slash("imagine", prompt=RED, steps=1)
    second = await people.bo.slash("imagine", prompt=RED, steps=1)
    await until_shown(discord, second)
    hang(discord, f"/webhooks/*/{first.token}/*")
    await all_painted(discord, bot, [first, second])
    assert (await until_done(discord, second)).attachments
    assert is_going(first.original_message)


async def test_a_progress_edit_that_is_not_answered_holds_up_its_result_for_moments_only(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting_turns, "SILENCE_S", 0.5)
    asked = await people.ada.slash("imagine", prompt="slow-image", steps=4)
    await until_shown(discord, asked)
    hanging = discord.faults.delay(f"/webhooks/*/{asked.token}/*", wait_s=AN_HOUR_S)
    assert (await until_done(discord, asked)).attachments
    assert hanging.num_met == 1


async def test_telling_those_who_asked_holds_up_no_result(
    discord: Sandbox, people: People, bot: LivingBot, zoe: ScriptedUser
) -> None:
    await bot.hold_painting()
    asked = [await someone(discord, people.general).slash("imagine", prompt=RED, steps=1) for _ in range(CROWD)]
    for each in asked:
        await people.bo.click(await until_shown(discord, each), "Tell me when done")
    rate_limit(discord, f"/channels/{people.general.id}/messages", "POST")
    await all_painted(discord, bot, asked)
    for each in [*asked, await zoe.slash("imagine", prompt=RED, steps=1)]:
        assert (await until_done(discord, each)).attachments


async def test_notes_that_wait_for_discord_keep_nobody_from_being_let_in(
    discord: Sandbox, people: People, bot: LivingBot, zoe: ScriptedUser
) -> None:
    manager = discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)
    await until_shown(discord, await manager.slash("rules add", text="dragon", action="warn", reason="Dear."))
    rate_limit(discord, "/webhooks/*", "POST")
    asked = [await someone(discord, people.general).slash("imagine", prompt="a dragon", steps=1) for _ in range(CROWD)]
    for each in asked:
        await until_shown(discord, each)
    assert (await until_done(discord, await zoe.slash("imagine", prompt=RED, steps=1))).attachments
    assert not [note for each in asked for note in each.followups]
    await cut_off(bot)


async def test_progress_does_not_use_up_what_results_need(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """Without tokens, all messages of a channel share one limit."""
    await bot.hold_painting()
    asked = [await someone(discord, people.general).slash("imagine", prompt=RED, steps=1) for _ in range(12)]
    for each in asked:
        await until_shown(discord, each)
    discord.clock.advance(TWENTY_MINUTES_S)
    await bot.crash()
    edits = f"/channels/{people.general.id}/messages/*"
    discord.faults.rate_limit(edits, method="PATCH", times=10_000, retry_after_s=1)
    await bot.start()
    await bot.generation.finished(job_id_in(asked[0].original_message))
    discord.faults.clear()
    before = len(discord.journal.calls)
    await discord.wait_for(lambda: any(message.attachments for message in people.general.messages))
    sent = [call for call in discord.journal.calls[before:] if call.method == "PATCH"]
    assert len([call for call in sent if not call.num_files]) <= 2


async def test_an_announcement_waits_for_no_server_that_is_slow(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    for number in range(6):
        slow = await lobby_of(discord, f"Slow {number}")
        rate_limit(discord, f"/channels/{slow.id}/messages")
    lobby = await lobby_of(discord, "Last")
    await boss(people, bot).slash("operator announce", text="The bot moves house.")
    await discord.wait_for(lambda: any("moves house" in message.content for message in lobby.messages))
    await cut_off(bot)


async def test_a_server_that_does_not_answer_spoils_no_announcement(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    log = people.guild.add_channel("log")
    settings = GuildSettings(guild_id=people.guild.id, choices=GuildPreferences(log_channel_id=log.id))
    await bot.choose(settings)
    lost = await lobby_of(discord, "Lost")
    discord.faults.drop_answer(f"/channels/{lost.id}/messages", performed=False)
    asked = await boss(people, bot).slash("operator announce", text="The bot moves house.")
    message = await discord.wait_for(lambda: asked.original_message if asked.original_message.text else None)
    assert message.text == format_announced(told=1, untold=1)
    assert [each.content for each in log.messages if "moves house" in each.content]


async def lobby_of(discord: Sandbox, name: str) -> Channel:
    """The system channel of a new server, once the bot has said hello there."""
    guild = discord.add_guild(name, has_bot=False)
    guild.system_channel = lobby = guild.add_channel("lobby")
    discord.add_bot(guild)
    await discord.wait_for(lambda: lobby.messages)
    return lobby


async def cut_off(bot: LivingBot) -> None:
    """A new life: what would wait for an hour ends, and what is due is taken up."""
    await bot.crash()
    await bot.start()


def boss(people: People, bot: LivingBot) -> ScriptedUser:
    bot.client.services = replace(bot.services, owner_ids=frozenset({people.mo.user.id}))
    return people.mo.forging
