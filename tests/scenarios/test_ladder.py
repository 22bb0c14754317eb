"""How a result arrives when the easy way is closed: token too old, message or channel gone, rights lost, errors."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from cogs.common.discord_errors import GONE as CHANNEL_GONE
from cogs.common.discord_errors import NO_PERMISSION
from cogs.error_handler import ACCEPTED
from cogs.history._messages import KEPT_HERE
from cogs.results._messages import RECODED, format_undelivered
from discord_sandbox import Interaction, Message, Permission, Sandbox
from generation.jobs.delivery import DeliveryState
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.scenarios.bot_harness import LivingBot, People, delete_by_hand, is_going, job_id_in, until_done, until_shown

RED = "a red circle on a blue background"
TWENTY_MINUTES_S = 20 * 60
NONCE_LASTS_S = 6 * 60
REFUSED = {"posted": "UPDATE ON deliveries WHEN OLD.state = 'due'", "told": "DELETE ON tellings"}
"""What a result needs written once it stands. Refused at once: another's lock would make every try wait."""


async def accepted_only(bot: LivingBot, discord: Sandbox, people: People) -> tuple[Interaction, Message]:
    """A job that is accepted and goes no further until `bot.go_on_painting()`."""
    await bot.hold_painting()
    asked = await people.ada.slash("imagine", prompt=RED, steps=2)
    return asked, await until_shown(discord, asked)


async def settled(bot: LivingBot, job_id: str) -> DeliveryState:
    async with asyncio.timeout(PATIENCE_S):
        while tasks := bot.tracker.tasks:
            await asyncio.wait(tasks)
    return (await bot.deliveries.fetch(job_id)).state


async def test_an_old_token_is_not_used_and_the_bot_edits_its_own_message(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked, message = await accepted_only(bot, discord, people)
    discord.clock.advance(TWENTY_MINUTES_S)
    before = len(discord.journal.calls)
    bot.go_on_painting()
    assert await until_done(discord, asked) is message
    used = {call.template for call in discord.journal.calls[before:]}
    assert not [template for template in used if "webhook" in template]


async def test_an_old_token_and_no_message_becomes_a_channel_message(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    asked, message = await accepted_only(bot, discord, people)
    job_id = job_id_in(message)
    people.mo.channel.world.clock.advance(TWENTY_MINUTES_S)
    delete_by_hand(discord, message)
    bot.go_on_painting()
    fresh = await discord.wait_for(lambda: next((m for m in people.general.messages if m.attachments), None))
    assert fresh.nonce == job_id
    assert await settled(bot, job_id) is DeliveryState.POSTED
    assert asked.original_message is None


async def test_a_channel_message_whose_answer_was_lost_is_not_written_twice(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    _, message = await accepted_only(bot, discord, people)
    job_id = job_id_in(message)
    discord.clock.advance(TWENTY_MINUTES_S)
    delete_by_hand(discord, message)
    discord.faults.drop_answer("/channels/*/messages", method="POST", times=3)
    bot.go_on_painting()
    await bot.generation.finished(job_id)
    assert await settled(bot, job_id) is DeliveryState.POSTED
    assert len([m for m in people.general.messages_ever if m.attachments]) == 1


@pytest.mark.parametrize("is_deleted", [True, False], ids=["anew", "edited"])
async def test_while_the_storage_refuses_nothing_is_said_twice(
    is_deleted: bool, discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """For longer than Discord keeps nonces apart. Anew: where the bot may not read what it wrote, or reply to it."""
    _, message = await accepted_only(bot, discord, people)
    job_id = job_id_in(message)
    wish = await people.bo.click(message, "Tell me when done")
    await until_shown(discord, wish)
    if is_deleted:
        discord.faults.take_permission(people.general, int(Permission.READ_MESSAGE_HISTORY))
        discord.clock.advance(TWENTY_MINUTES_S)
        delete_by_hand(discord, message)
    with closing(sqlite3.connect(bot.data_dir / "atelier.db", isolation_level=None)) as other:
        for name, when in REFUSED.items():
            other.execute(f"CREATE TRIGGER {name} BEFORE {when} BEGIN SELECT RAISE(ABORT, 'full'); END")
        with heard("cogs.delivery._tracker", "action=delivery-failed") as failed:
            bot.go_on_painting()
            async with asyncio.timeout(PATIENCE_S):
                await failed.acquire()
                discord.clock.advance(NONCE_LASTS_S)
                for _ in range(2):
                    await failed.acquire()
        for name in REFUSED:
            other.execute(f"DROP TRIGGER {name}")
    assert await settled(bot, job_id) is DeliveryState.POSTED
    said = [each for each in people.general.messages_ever if each not in (message, wish.original_message)]
    assert len([each for each in said if each.attachments]) == is_deleted
    assert len([each for each in said if f"<@{people.bo.user.id}>" in each.content]) == 1


@contextmanager
def heard(logger: str, what: str) -> Iterator[asyncio.Semaphore]:
    """Released each time the log says so: nothing else tells of it."""
    said, handler = asyncio.Semaphore(0), logging.Handler()
    handler.addFilter(lambda record: what in record.getMessage() and said.release())
    logging.getLogger(logger).addHandler(handler)
    try:
        yield said
    finally:
        logging.getLogger(logger).removeHandler(handler)


async def test_a_lost_answer_to_an_edit_changes_nothing(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    asked, message = await accepted_only(bot, discord, people)
    discord.faults.drop_answer("/webhooks/*/messages/@original", method="PATCH", times=2)
    bot.go_on_painting()
    await until_done(discord, asked)
    assert await settled(bot, job_id_in(message)) is DeliveryState.POSTED
    assert len(people.general.messages_ever) == 1
    assert "action=courier-failed" not in caplog.text


async def test_a_storm_of_errors_passes(discord: Sandbox, people: People, bot: LivingBot) -> None:
    asked, message = await accepted_only(bot, discord, people)
    discord.faults.fail("/webhooks/*", times=2, status=503)
    discord.faults.rate_limit("/webhooks/*", times=2)
    bot.go_on_painting()
    await until_done(discord, asked)
    assert await settled(bot, job_id_in(message)) is DeliveryState.POSTED


async def test_a_deleted_channel_leaves_the_result_in_the_history(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    _, message = await accepted_only(bot, discord, people)
    job_id = job_id_in(message)
    elsewhere = discord.act_as(people.ada.member, people.guild.add_channel("elsewhere"))
    discord.clock.advance(TWENTY_MINUTES_S)
    discord.faults.delete_channel(people.general)
    bot.go_on_painting()
    await bot.generation.finished(job_id)
    assert await settled(bot, job_id) is DeliveryState.KEPT
    asked = await elsewhere.slash("imagine", prompt=RED, steps=2)
    await discord.wait_for(lambda: asked.followups)
    assert asked.original_message is not None
    assert "circle" in asked.original_message.text, "the notice has not taken the place of the answer"
    assert asked.followups[0].content == format_undelivered([CHANNEL_GONE])
    assert asked.followups[0].is_ephemeral
    history = await elsewhere.slash("history")
    shown = await until_shown(discord, history)
    assert is_said(KEPT_HERE, shown.text, reason=CHANNEL_GONE)
    opened = await elsewhere.click(shown, "Open 1")
    full = await discord.wait_for(lambda: opened.original_message if opened.original_message.attachments else None)
    assert full.is_ephemeral


async def test_a_lost_permission_leaves_the_result_in_the_history(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    _, message = await accepted_only(bot, discord, people)
    job_id = job_id_in(message)
    discord.clock.advance(TWENTY_MINUTES_S)
    discord.faults.take_permission(people.general, int(Permission.VIEW_CHANNEL))
    bot.go_on_painting()
    await bot.generation.finished(job_id)
    assert await settled(bot, job_id) is DeliveryState.KEPT
    assert (await bot.deliveries.fetch(job_id)).last_error == NO_PERMISSION


async def test_a_message_deleted_while_waiting_is_written_anew(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    _, message = await accepted_only(bot, discord, people)
    delete_by_hand(discord, message)
    bot.go_on_painting()
    fresh = await discord.wait_for(lambda: next((m for m in people.general.messages if m.attachments), None))
    assert not is_going(fresh)


async def test_a_result_over_the_size_limit_is_a_jpeg_and_says_so(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    people.guild.attachment_size_limit = 10_000
    asked = await people.ada.slash("imagine", prompt=RED, steps=2, size="256x256")
    message = await until_done(discord, asked)
    job = await bot.job_of(asked)
    original = bot.generation.files.get(job.images[0].file_sha256 or "")
    assert original is not None
    if len(original) > 10_000:
        assert message.attachments[0].filename.endswith(".jpg")
        assert message.attachments[0].size <= 10_000
        assert is_said(RECODED, message.text)


# What is said beside an answer, to the person alone.


async def test_a_note_without_an_answer_takes_nothing_with_it(discord: Sandbox, people: People, bot: LivingBot) -> None:
    discord.faults.drop_answer("/webhooks/*", method="POST")
    with heard("cogs.common.submission", "action=note-failed") as failed:
        asked = await people.ada.slash("imagine", prompt=RED, size="100x100", steps=2)
        message = await until_done(discord, asked)
        await asyncio.wait_for(failed.acquire(), PATIENCE_S)
    assert ["100" in each.content for each in asked.followups] == [True], "the note, and no word of a refusal"
    assert len(message.attachments) == 1
    assert message in people.general.messages


async def test_what_was_kept_is_told_until_that_is_known_to_have_worked(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    _, message = await accepted_only(bot, discord, people)
    elsewhere = discord.act_as(people.ada.member, people.guild.add_channel("elsewhere"))
    discord.clock.advance(TWENTY_MINUTES_S)
    discord.faults.delete_channel(people.general)
    bot.go_on_painting()
    await bot.generation.finished(job_id_in(message))
    assert await settled(bot, job_id_in(message)) is DeliveryState.KEPT
    discord.faults.drop_answer("/webhooks/*", method="POST")
    with heard("cogs.common.submission", "action=note-failed") as failed:
        await elsewhere.slash("history")
        await asyncio.wait_for(failed.acquire(), PATIENCE_S)
    second = await elsewhere.slash("history")
    await discord.wait_for(lambda: second.followups)
    assert second.followups[0].content == format_undelivered([CHANNEL_GONE])


async def test_a_slip_after_the_acceptance_leaves_the_message_and_claims_no_refusal(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("cogs.imagine._typed.format_rounded_size")
    asked = await people.ada.slash("imagine", prompt=RED, size="100x100", steps=2)
    await discord.wait_for(lambda: asked.followups)
    assert is_said(ACCEPTED, asked.followups[0].content)
    message = await until_done(discord, asked)
    assert len(message.attachments) == 1
    assert message in people.general.messages


async def test_those_who_asked_are_told_when_discord_has_come_round(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogs.delivery._tracker.RETRY_S", 0.01)
    _, message = await accepted_only(bot, discord, people)
    await until_shown(discord, await people.bo.click(message, "Tell me when done"))
    discord.faults.fail("/channels/*/messages", method="POST", status=501)  # discord.py does not try that again
    bot.go_on_painting()
    assert await settled(bot, job_id_in(message)) is DeliveryState.POSTED
    told = [each for each in people.general.messages_ever if f"<@{people.bo.user.id}>" in each.content]
    assert len(told) == 1


async def test_progress_that_stumbles_does_not_take_the_result_with_it(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service says that a job has ended once only; who follows the job must be there to hear it."""
    asked, message = await accepted_only(bot, discord, people)
    job_id = job_id_in(message)
    following = bot.tracker.tasks

    def stumble(*_args: object, **_options: object) -> None:
        raise RuntimeError("nobody thought of this")

    monkeypatch.setattr("cogs.delivery._progress.build_progress", stumble)
    with heard("cogs.delivery._tracker", "action=progress-failed") as failed:
        bot.tracker.on_job_changed(job_id)
        await asyncio.wait_for(failed.acquire(), PATIENCE_S)
        assert bot.tracker.tasks == following
    bot.go_on_painting()
    assert (await until_done(discord, asked)).attachments
