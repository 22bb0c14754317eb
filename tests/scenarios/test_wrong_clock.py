"""The clock of this machine is wrong, from the start or since a moment ago: nobody who asks for pictures notices."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from cogs.delivery import _poster as ladder
from discord_sandbox import Message, Permission, Sandbox, Upload
from generation.admission.errors import BlockedError, WithheldTooOftenError
from generation.images.codec import encode_png
from generation.jobs.job import ReplyTo
from generation.policy.guild_preferences import GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"
TWENTY_MINUTES_S, HOUR_S = 20 * 60, 3600
WRONG = [timedelta(minutes=20), timedelta(days=90), timedelta(hours=-3)]


async def choose(bot: LivingBot, people: People, **choices: object) -> None:
    settings = GuildSettings(guild_id=people.guild.id)
    await bot.choose(replace(settings, choices=GuildPreferences(**choices)))  # type: ignore[arg-type]


def refusals(discord: Sandbox) -> list[int]:
    """The edits of a first answer that Discord refused."""
    edits = (call for call in discord.journal.calls if call.method == "PATCH" and "webhooks" in call.template)
    return [call.status for call in edits if call.status >= 400]


@pytest.mark.parametrize("ahead", WRONG, ids=str)
@pytest.mark.parametrize("since", ["the start", "a moment ago"])
async def test_a_private_answer_is_shown(
    ahead: timedelta, since: str, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """Only its token can show it."""
    await choose(bot, people, visibility=Visibility.PRIVATE)
    if since == "the start":
        bot.clock_ahead = ahead
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    await until_shown(discord, asked)
    bot.clock_ahead = ahead
    bot.go_on_painting()
    message = await until_done(discord, asked)
    assert message.is_ephemeral
    assert message.attachments


async def cut_off_by_a_restart(
    discord: Sandbox, people: People, bot: LivingBot, *, away_s: float, ahead: timedelta
) -> Message:
    """A job that was asked for in one run and is painted in the next, whose clock is wrong."""
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    await until_shown(discord, asked)
    await bot.crash()
    discord.clock.advance(away_s)
    bot.clock_ahead = ahead
    await bot.start()
    return await until_done(discord, asked)


async def test_after_a_restart_a_good_token_is_used_whatever_the_clock_says(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    await choose(bot, people, visibility=Visibility.PRIVATE)
    message = await cut_off_by_a_restart(discord, people, bot, away_s=60, ahead=timedelta(hours=5))
    assert message.attachments


async def test_after_a_restart_an_old_token_is_tried_once_and_discord_believed(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    message = await cut_off_by_a_restart(discord, people, bot, away_s=TWENTY_MINUTES_S, ahead=timedelta(hours=-5))
    assert message.attachments
    assert refusals(discord) == [401]


async def test_where_time_stood_still_an_old_token_is_tried_once(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """A machine that was suspended: its seconds did not pass."""
    bot.tracker._poster._monotonic = lambda: 0.0
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    message = await until_shown(discord, asked)
    discord.clock.advance(TWENTY_MINUTES_S)
    bot.go_on_painting()
    assert await until_done(discord, asked) is message
    assert refusals(discord) == [401]


async def test_refused_tokens_are_few_however_many_were_stored(bot: LivingBot) -> None:
    """After an outage there may be thousands, and Discord shuts out who is refused 10,000 times in ten minutes."""
    now_s = 0.0
    rungs = ladder.MessagePoster(bot.client, lambda: now_s)
    stored = [ReplyTo(application_id=1, channel_id=2, token=f"token {n}") for n in range(ladder.MAX_REFUSED + 1)]
    for each in stored[:-1]:
        assert rungs.has_token(each)
        rungs._note_refusal(each.token or "")
        assert not rungs.has_token(each)
    last = stored[-1]
    assert not rungs.has_token(last), "it may be good, but its message can be changed by other rungs"
    assert rungs.has_token(replace(last, is_private=True)), "nothing else can show it"
    assert rungs.has_token(replace(last, received_s=0.0)), "this run knows that it is new"
    now_s = ladder.WITHIN_S + 1
    assert rungs.has_token(last)


@pytest.mark.parametrize("ahead", WRONG, ids=str)
async def test_requests_a_minute_are_a_minute_s(
    ahead: timedelta, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    await choose(bot, people, requests_per_minute=1)
    await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    bot.clock_ahead = ahead
    refused = await until_shown(discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    said = re.search(r"try again in (\d+) s", refused.text)
    assert said is not None, "no early end either"
    assert int(said[1]) <= 60
    discord.clock.advance(61)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))).attachments


async def blocked_for_an_hour(discord: Sandbox, people: People, bot: LivingBot) -> str:
    manager = people.mo
    shown = await until_shown(discord, await manager.slash("block", member=people.ada.user, lasting=1))
    assert "blocked" in shown.text or str(people.ada.user.id) in shown.text
    return str(BlockedError()).rstrip(".")


async def too_often_kept_back(discord: Sandbox, people: People, bot: LivingBot) -> str:
    await choose(bot, people, withheld_per_hour=1)
    await until_done(discord, await people.ada.slash("imagine", prompt="withhold-image", steps=1))
    return str(WithheldTooOftenError())


@pytest.mark.parametrize("ahead", [timedelta(hours=20), timedelta(hours=-20)], ids=str)
@pytest.mark.parametrize("stop", [blocked_for_an_hour, too_often_kept_back])
async def test_a_pause_lasts_as_long_as_was_said(
    stop: Callable[..., object], ahead: timedelta, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    why = await stop(discord, people, bot)  # type: ignore[misc]
    bot.clock_ahead = ahead
    refused = await until_shown(discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    assert why in refused.text, "it ended early"
    discord.clock.advance(HOUR_S + 1)
    assert (await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))).attachments


@pytest.mark.parametrize("ahead", WRONG, ids=str)
async def test_what_people_read_of_times_is_discord_s(
    ahead: timedelta, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    bot.clock_ahead = ahead
    began_s = discord.clock.now()
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    job = await bot.jobs.fetch_job(job_id_in(await until_done(discord, asked)))
    assert int(began_s) <= job.created_at.timestamp() <= discord.clock.now()
    boss = discord.act_as(people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD)), people.general)
    await until_shown(discord, await boss.slash("rules add", text="goblin"))
    (change,) = await bot.services.audit_log.fetch_changes(people.guild.id)
    assert int(began_s) <= change.at.timestamp() <= discord.clock.now()


async def test_a_form_is_taken_for_as_long_as_discord_s_link_lasts(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    photo = people.bo.say("look", files=[Upload("photo.png", encode_png(bytes(64 * 64 * 3), (64, 64)))])
    opened = [await people.ada.context_menu("Use as start image", photo) for _ in range(2)]
    for form, ahead in zip(opened, (timedelta(days=2), timedelta(days=-2)), strict=True):
        bot.clock_ahead = ahead
        asked = await people.ada.submit_modal(form, {"prompt": "a storm"})
        assert (await until_done(discord, asked)).attachments
