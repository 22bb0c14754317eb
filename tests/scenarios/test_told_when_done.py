"""“Tell me when done”: by a mention or a message, asked for or by default, once, and never where it gives away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cogs.delivery._notify import DONE_THERE
from cogs.results._messages import DONE
from discord_sandbox import Message, Sandbox, ScriptedUser
from generation.policy.member_preferences import NotifyBy
from tests.messages import is_said
from tests.patience import until
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, until_done, until_shown
from tests.scenarios.test_languages_of_a_server import is_said_in
from tests.scenarios.test_settings_of_a_server import RED, told

SLOW = {"prompt": RED, "steps": 2}


@pytest.fixture
async def held(bot: LivingBot) -> AsyncIterator[LivingBot]:
    """What is asked for waits until the bot goes on."""
    await until(lambda: bot.generation.is_ready)  # else its start is held, and ends by a time limit
    await bot.hold_painting()
    yield bot


async def delivered(bot: LivingBot) -> None:
    """Wait until nothing is left to post or to tell."""
    tracker: Any = bot.client.tracker
    await asyncio.gather(*tracker.tasks)


def mentions(people: People, who: ScriptedUser) -> list[Message]:
    return [
        each for each in people.general.messages if f"<@{who.user.id}>" in each.content and is_said(DONE, each.text)
    ]


def written(discord: Sandbox, who: ScriptedUser) -> list[Message]:
    """What the bot wrote to this person alone, beside answers."""
    return [each for each in discord.act_as(who.user).list_visible_messages() if not each.is_ephemeral]


@pytest.mark.parametrize("restarts", [False, True])
async def test_each_is_told_once_in_the_way_they_chose(
    discord: Sandbox, people: People, held: LivingBot, restarts: bool
) -> None:
    ada, bo, mo = people.ada, people.bo, people.mo
    await told(discord, await bo.slash("me set", notify="message", language="de"))
    asked = await ada.slash("imagine", **SLOW)
    waiting = await until_shown(discord, asked)
    for who in (ada, bo, mo, bo):
        await told(discord, await who.click(waiting, button_of(waiting, "tell")))
    held.go_on_painting()
    if restarts:
        await held.crash()
        await held.start()
    message = await until_done(discord, asked)
    (mention,) = await discord.wait_for(lambda: mentions(people, ada))
    assert mentions(people, mo) == [mention], "both by one message"
    assert mention.reference is message
    (own,) = await discord.wait_for(lambda: written(discord, bo))
    link = f"https://discord.com/channels/{people.guild.id}/{people.general.id}/{message.id}"
    assert is_said_in("de", DONE_THERE, own.text, link=link)
    assert mentions(people, bo) == [] and written(discord, ada) == written(discord, mo) == []
    await delivered(held)
    assert await held.services.favourites.fetch_notified(job_id_in(message)) == []


async def test_closed_messages_become_a_mention_and_a_refused_mention_a_message(
    discord: Sandbox, people: People, held: LivingBot
) -> None:
    ada, bo = people.ada, people.bo
    for who in (ada, bo):
        await told(discord, await who.slash("me set", notify="message", notify_when="0"))
    bo.user.accepts_dms = False
    first, second = await ada.slash("imagine", **SLOW), await bo.slash("imagine", **SLOW)
    held.go_on_painting()
    await until_done(discord, first), await until_done(discord, second)
    await discord.wait_for(lambda: mentions(people, bo) and written(discord, ada))
    assert mentions(people, ada) == [] and written(discord, bo) == []
    await delivered(held)

    await told(discord, await ada.slash("me set", notify="mention"))
    discord.faults.refuse(50013, f"/channels/{people.general.id}/messages", method="POST", times=2)
    await until_done(discord, await ada.slash("imagine", **SLOW))
    await discord.wait_for(lambda: len(written(discord, ada)) == 2)
    await delivered(held)
    assert mentions(people, ada) == []


async def test_a_fault_on_the_way_tells_no_one_twice(discord: Sandbox, people: People, held: LivingBot) -> None:
    ada, bo = people.ada, people.bo
    await told(discord, await bo.slash("me set", notify="message"))
    asked = await ada.slash("imagine", **SLOW)
    waiting = await until_shown(discord, asked)
    for who in (ada, bo):
        await told(discord, await who.click(waiting, button_of(waiting, "tell")))
    # Discord posts the mention, and its answer is lost: all is tried again.
    discord.faults.fail(f"/channels/{people.general.id}/messages", method="POST", times=1, performed=True)
    held.go_on_painting()
    await until_done(discord, asked)
    await delivered(held)
    assert len(mentions(people, ada)) == 1 and len(written(discord, bo)) == 1


@pytest.mark.parametrize("by", list(NotifyBy))
@pytest.mark.parametrize("accepts", [True, False])
async def test_a_private_result_is_named_in_no_channel(
    discord: Sandbox, people: People, held: LivingBot, by: NotifyBy, accepts: bool
) -> None:
    ada = people.ada
    await told(discord, await ada.slash("me set", notify=by.value, notify_when="0", answers="only me"))
    ada.user.accepts_dms = accepts
    asked = await ada.slash("imagine", **SLOW)
    held.go_on_painting()
    assert (await until_done(discord, asked)).is_ephemeral
    await delivered(held)
    assert [is_said(DONE, each.text) for each in written(discord, ada)] == [True] * accepts
    assert all(each.is_ephemeral for each in people.general.messages)


async def test_by_default_only_for_waits_over_the_length(discord: Sandbox, people: People, bot: LivingBot) -> None:
    ada = people.ada
    await until_done(discord, await ada.slash("imagine", **SLOW))  # from now on a wait can be foreseen
    await told(discord, await ada.slash("me set", notify_when="300"))
    await until_done(discord, await ada.slash("imagine", **SLOW))
    await delivered(bot)
    assert mentions(people, ada) == []
    bot.generation.pause(True)  # now it cannot
    asked = await ada.slash("imagine", **SLOW)
    await until_shown(discord, asked)
    job_id = (await bot.job_of(asked)).id
    await until(lambda: bot.services.favourites.fetch_notified(job_id))
    bot.generation.pause(False)
    await until_done(discord, asked)
    await discord.wait_for(lambda: mentions(people, ada))
    assert len(mentions(people, ada)) == 1
