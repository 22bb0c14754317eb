"""Every refusal of Discord's that a message can meet, over the wire: the picture arrives, or the member is told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from cogs.common import discord_errors, refused_messages
from cogs.common.discord_errors import REFUSALS, Step
from cogs.delivery import _tracker as delivery
from cogs.history._messages import KEPT_HERE
from cogs.results._messages import PICTURES_LEFT_OUT, RECODED, TOO_LARGE, format_undelivered
from cogs.results._reduced_variants import MAX_CUTS
from discord_sandbox import Channel, Interaction, Message, Permission, Sandbox
from discord_sandbox.refusals import REFUSALS as SENT_BY_DISCORD
from generation.jobs.delivery import DeliveryState
from generation.jobs.job import Status
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bot_harness import LivingBot, People, delete_by_hand, job_id_in, until_shown
from tests.scenarios.test_ladder import RED, TWENTY_MINUTES_S, heard, settled

TOKEN, OWN, NEW = "/webhooks/*/messages/@original", "/channels/*/messages/*", "/channels/*/messages"
METHOD = {TOKEN: "PATCH", OWN: "PATCH", NEW: "POST"}
MARK = "cedar"
"""A word of the prompt's, for the messages that leave the prompt out."""
UNKNOWN = {987654: Step.PLAIN}
STEPS = {code: refusal.step for code, refusal in REFUSALS.items()} | UNKNOWN
PASSES_ON = {
    TOKEN: {Step.ANOTHER_WAY, Step.OPEN_THREAD, Step.PLAIN, Step.MANAGER, Step.KEEP},
    OWN: {Step.ANOTHER_WAY, Step.OPEN_THREAD, Step.PLAIN},
    NEW: set(),
}
"""After which steps a refusal there leads to the next way."""


TRIES_OF_DISCORD_PY = 5
"""So often it waits out a limit before it raises."""
FILES = {"whole": ["png"], Step.SMALLER: ["jpg"], Step.NO_WORDS: ["png"], Step.NO_FILES: [], "plain": []}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries, and one progress edit only, so that a refusal is met by the result."""
    monkeypatch.setattr(delivery, "RETRY_S", 0.0)
    monkeypatch.setattr(delivery, "PAUSES_S", (3600.0,))
    monkeypatch.setattr(discord_errors, "MANAGER_PAUSES_S", ())
    monkeypatch.setattr(refused_messages, "MAX_TRIES", 3)


@dataclass
class Asked:
    """A job whose result can come by one way at first: by token, as an edit of the bot's own message, or as a new one.

    Deleting the message leaves only a new one.
    """

    interaction: Interaction
    message: Message
    job_id: str


async def asked_for(bot: LivingBot, discord: Sandbox, people: People, way: str) -> Asked:
    await bot.hold_painting()
    discord.clock.advance(TWENTY_MINUTES_S)  # the limit of requests a minute
    interaction = await people.ada.slash("imagine", prompt=f"{RED}, {MARK}", steps=2)
    message = await until_shown(discord, interaction)
    job_id = job_id_in(message)
    if way is not TOKEN:
        discord.clock.advance(TWENTY_MINUTES_S)
    if way is NEW:
        delete_by_hand(discord, message)
    return Asked(interaction, message, job_id)


async def painted(bot: LivingBot, asked: Asked) -> DeliveryState:
    bot.go_on_painting()
    job = await bot.generation.finished(asked.job_id)
    state = await settled(bot, asked.job_id)
    job = await bot.jobs.fetch_job(asked.job_id)
    assert [image.status for image in job.images] == [Status.DONE] and all(image.charged for image in job.images)
    return state


def shown(people: People, asked: Asked) -> list[Message]:
    """The messages that stand and are of this job."""
    return [m for m in people.general.messages if any(asked.job_id in b.get("custom_id", "") for b in m.buttons)]


def outcome(way: str, step: Step) -> str:
    """What becomes of a result of which one request was refused."""
    if step in PASSES_ON[way] or step is Step.AGAIN:
        return "whole"
    if step in (Step.SMALLER, Step.NO_FILES, Step.NO_WORDS):
        return step
    return "plain" if step in (Step.PLAIN, Step.NO_REFERENCE) else "kept"


@pytest.mark.parametrize(
    ("step", "way"),
    [  # in short, each step by one way
        pytest.param(step, way, id=f"{step}-{name}", marks=[pytest.mark.long] * ((number - place) % 3 != 0))
        for number, step in enumerate(sorted(set(STEPS.values())))
        for place, (name, way) in enumerate({"token": TOKEN, "own": OWN, "new": NEW}.items())
    ],
)
async def test_a_refusal_met_once(way: str, step: Step, discord: Sandbox, people: People, bot: LivingBot) -> None:
    for code in [code for code, each in STEPS.items() if each is step]:
        asked = await asked_for(bot, discord, people, way)
        is_limit = SENT_BY_DISCORD.get(code, (400, ""))[0] == 429
        fault = discord.faults.refuse(code, way, method=METHOD[way], times=TRIES_OF_DISCORD_PY if is_limit else 1)
        state = await painted(bot, asked)
        assert fault.times_left == 0, code
        expected = outcome(way, step)
        assert state is (DeliveryState.KEPT if expected == "kept" else DeliveryState.POSTED), code
        if expected == "kept":
            assert not any(m.attachments for m in shown(people, asked)), code
            await is_told(discord, people, code)
            continue
        (message,) = shown(people, asked)
        files = [each.filename for each in message.attachments]
        assert [name.rpartition(".")[2] for name in files] == FILES[expected], code
        assert (MARK in repr(message.components) + repr(files)) is (expected not in ("plain", Step.NO_WORDS)), code
        assert is_said(PICTURES_LEFT_OUT, message.text) is (not files), code
        assert is_said(RECODED, message.text) is (expected == Step.SMALLER), code


def is_undelivered(text: str) -> bool:
    """Whether it says that one result could not be posted, for whatever reason."""
    before, after = format_undelivered(["…"]).split("…")
    return text.startswith(before) and text.endswith(after)


async def is_told(discord: Sandbox, people: People, code: int) -> None:
    discord.clock.advance(TWENTY_MINUTES_S)
    later = await people.ada.slash("help")
    await discord.wait_for(lambda: later.followups)
    assert is_undelivered(later.followups[0].content), code


# What never passes.


@pytest.mark.parametrize("code", [0, 40004, 40005, 50013, 50035, 200000, 400001, 987654])
async def test_what_is_refused_every_time_ends_and_the_member_is_told(
    code: int, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await asked_for(bot, discord, people, OWN)
    await until_shown(discord, await people.ada.click(asked.message, "Tell me when done"))
    faults = [
        discord.faults.refuse(code, way.replace("*", str(people.general.id), 1), method=METHOD[way], times=1000)
        for way in (OWN, NEW)
    ]
    assert await painted(bot, asked) is DeliveryState.KEPT
    assert 0 < sum(fault.num_met for fault in faults) <= 2 * MAX_CUTS + 10
    assert len([m for m in people.general.messages_ever if m.attachments]) == 0
    written = discord.world.open_direct_channel(people.ada.user).messages
    assert is_undelivered(written[0].content)
    discord.faults.clear()
    opened = await people.ada.slash("history")
    assert is_said(KEPT_HERE, (await until_shown(discord, opened)).text)


async def test_a_permission_that_comes_back_lets_a_kept_result_arrive(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discord_errors, "MANAGER_PAUSES_S", (0.0,) * 10_000)
    asked = await asked_for(bot, discord, people, NEW)
    discord.faults.take_permission(people.general, int(Permission.SEND_MESSAGES))
    with heard("cogs.delivery._tracker", "action=kept") as kept:
        bot.go_on_painting()
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(3):
                await kept.acquire()
    discord.faults.give_permission(people.general, int(Permission.SEND_MESSAGES))
    await discord.wait_for(lambda: any(m.attachments for m in shown(people, asked)))
    assert await painted(bot, asked) is DeliveryState.POSTED
    assert len(shown(people, asked)) == 1
    await is_told(discord, people, 50013)


# Size.


@pytest.mark.parametrize("way", [TOKEN, OWN, NEW], ids=["token", "own", "new"])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_proxys_page_for_too_large_is_read_as_one(
    way: str, times: int, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """A third copy of so small a picture would be too small for its own metadata: the message says that, too."""
    asked = await asked_for(bot, discord, people, way)
    page = "<html><head><title>413 Request Entity Too Large</title></head></html>"
    discord.faults.fail(way, method=METHOD[way], times=times, status=413, page=page)
    assert await painted(bot, asked) is DeliveryState.POSTED
    (message,) = shown(people, asked)
    if times == 1:
        assert message.attachments[0].filename.endswith(".jpg") and is_said(RECODED, message.text)
    else:
        assert not message.attachments and is_said(TOO_LARGE, message.text)
    job = await bot.jobs.fetch_job(asked.job_id)
    assert bot.generation.files.get(job.images[0].file_sha256 or "") is not None, "the original stays"


@pytest.mark.parametrize("way", [TOKEN, OWN], ids=["boosts ran out", "the member's own limit ended with the token"])
async def test_a_limit_that_fell_while_a_picture_waited(
    way: str, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    people.guild.attachment_size_limit = 50 * 2**20
    asked = await asked_for(bot, discord, people, way)
    people.guild.attachment_size_limit = 1500
    assert await painted(bot, asked) is DeliveryState.POSTED
    (message,) = shown(people, asked)
    assert message.attachments[0].size <= 1500 and is_said(RECODED, message.text)


async def test_the_history_shows_a_smaller_copy_too(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked = await asked_for(bot, discord, people, TOKEN)
    await painted(bot, asked)
    listed = await until_shown(discord, await people.ada.slash("history"))
    discord.faults.fail(TOKEN, method="PATCH", status=413, page="<html></html>")
    opened = await until_shown(discord, await people.ada.click(listed, "Open 1"))
    assert opened.attachments[0].filename.endswith(".jpg") and is_said(RECODED, opened.text)


# Threads and old messages.


async def in_a_thread(bot: LivingBot, discord: Sandbox, people: People) -> tuple[Asked, Channel]:
    thread = people.general.add_thread("sketches")
    ada = discord.act_as(people.ada.member, thread)
    await bot.hold_painting()
    interaction = await ada.slash("imagine", prompt=f"{RED}, {MARK}", steps=2)
    message = await until_shown(discord, interaction)
    discord.clock.advance(TWENTY_MINUTES_S)
    return Asked(interaction, message, job_id_in(message)), thread


@pytest.mark.parametrize("may_open", [True, False])
async def test_an_archived_thread_is_opened_or_written_in(
    may_open: bool, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked, thread = await in_a_thread(bot, discord, people)
    discord.faults.archive_thread(thread)
    if not may_open:
        discord.faults.refuse(50013, f"/channels/{thread.id}", method="PATCH")
    assert await painted(bot, asked) is DeliveryState.POSTED
    (message,) = [m for m in thread.messages if m.attachments]
    assert (message is asked.message) is may_open
    assert len(thread.messages) == 1, "the one that could not be edited is deleted"


async def test_a_locked_thread_is_left_locked(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked, thread = await in_a_thread(bot, discord, people)
    discord.faults.archive_thread(thread, is_locked=True)
    assert await painted(bot, asked) is DeliveryState.KEPT
    assert (await bot.deliveries.fetch(asked.job_id)).last_error == "the thread is locked"
    assert thread.is_archived and not any(m.attachments for m in thread.messages_ever)


async def test_a_message_too_old_for_another_edit_is_written_new_and_deleted(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """Discord names an hour to wait, as a rate limit: it is not waited for."""
    asked = await asked_for(bot, discord, people, OWN)
    discord.faults.refuse(30046, OWN, method="PATCH", times=1000, retry_after_s=3600.0)
    assert await painted(bot, asked) is DeliveryState.POSTED
    (message,) = shown(people, asked)
    assert message is not asked.message and message.attachments
    assert asked.message.is_deleted


async def test_an_answer_that_is_no_answer_of_discords_stops_no_courier(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Of a progress edit first, then of the result: a proxy's page with status 200 instead of the message."""
    monkeypatch.setattr(delivery, "PAUSES_S", (0.0,))
    asked = await asked_for(bot, discord, people, TOKEN)
    discord.faults.fail(TOKEN, method="PATCH", times=3, status=200, page="<html>Welcome</html>", performed=True)
    assert await painted(bot, asked) is DeliveryState.POSTED
    (message,) = shown(people, asked)
    assert message.attachments and "action=courier-failed" not in caplog.text


# Who is told.


async def test_who_asked_to_be_told_is_told_where_a_reply_is_refused(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked = await asked_for(bot, discord, people, OWN)
    await until_shown(discord, await people.bo.click(asked.message, "Tell me when done"))
    discord.faults.take_permission(people.general, int(Permission.READ_MESSAGE_HISTORY))
    assert await painted(bot, asked) is DeliveryState.POSTED
    assert len([m for m in people.general.messages if f"<@{people.bo.user.id}>" in m.content]) == 1


# The table.


def test_the_table_is_frozen_and_every_code_of_it_can_be_played() -> None:
    assert set(REFUSALS) <= set(SENT_BY_DISCORD)
    with pytest.raises(TypeError):
        REFUSALS[1] = REFUSALS[10003]  # type: ignore[index]
