"""What could not be done at the start, or when Discord said something, is done later; until then it is a problem."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from cogs import bot as client
from cogs import command_sync, maintenance
from cogs.command_sync import NOT_TAKEN_YET, REFUSED
from discord_sandbox import Sandbox
from generation.retry import num_stuck
from tests.messages import is_said
from tests.patience import PATIENCE_S, until
from tests.scenarios.bot_harness import LivingBot, People, until_shown

COMMANDS = "/applications/*/commands"


@pytest.fixture
async def fresh(
    discord: Sandbox, tmp_path: Path, blank_database: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LivingBot]:
    """A bot that Discord has not seen before, and that does not wait between tries."""
    monkeypatch.setattr(command_sync, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(client, "HEAD_START_S", 0.01)
    bot = LivingBot(discord, tmp_path, blank_database)
    yield bot
    await bot.stop()


async def test_commands_that_discord_cannot_take_are_registered_later(
    discord: Sandbox, people: People, fresh: LivingBot
) -> None:
    discord.faults.fail(COMMANDS, times=10_000, status=403)  # of a proxy: discord.py does not try that again
    await fresh.start()
    assert not people.ada.list_visible_commands()
    (problem,) = fresh.services.problems
    assert is_said(NOT_TAKEN_YET, problem)
    discord.faults.clear()
    await until(people.ada.list_visible_commands)
    await until(lambda: fresh.client.command_ids)
    assert not list(fresh.services.problems)
    await until_shown(discord, await people.ada.slash("imagine", prompt="a red circle", steps=1))


async def test_commands_that_discord_refuses_are_not_tried_again(
    discord: Sandbox, fresh: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    refusing = discord.faults.fail(COMMANDS, method="PUT", times=10_000, status=400)
    await fresh.start()
    assert fresh.client._registering is not None
    await asyncio.wait_for(asyncio.shield(fresh.client._registering), PATIENCE_S)
    assert refusing.num_met == 1
    assert caplog.text.count("action=commands-refused") == 1
    (problem,) = fresh.services.problems
    assert is_said(REFUSED, problem)
    await fresh.client.close()
    discord.faults.clear()
    await fresh.reconnect()
    await until(lambda: fresh.client.command_ids)
    assert not list(fresh.services.problems), "the next client tries, and it works"


async def test_a_server_that_comes_back_while_storage_refuses_is_not_forgotten_as_gone(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    await until_shown(discord, await people.ada.slash("imagine", prompt="a red circle", steps=1))
    people.guild.kick_bot()
    await until_gone(bot, people.guild.id, is_gone=True)
    with closing(sqlite3.connect(bot.data_dir / "atelier.db", isolation_level=None)) as other:
        other.execute("CREATE TRIGGER refused BEFORE DELETE ON departures BEGIN SELECT RAISE(ABORT, 'full'); END")
        discord.add_bot(people.guild)
        await until(num_stuck)
        other.execute("DROP TRIGGER refused")
    await until_gone(bot, people.guild.id, is_gone=False)


async def until_gone(bot: LivingBot, guild_id: int, *, is_gone: bool) -> None:
    async def holds() -> bool:
        return await bot.services.removed_guilds.is_gone(guild_id) is is_gone

    await until(holds)


async def test_hello_is_said_when_discord_has_come_round(
    discord: Sandbox, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cogs.error_handler.RETRY_S", (0.0, 0.0, 0.0))
    meadow = discord.add_guild("Meadow", has_bot=False)
    lobby = meadow.add_channel("lobby")
    discord.faults.drop_answer("/channels/*/messages", method="POST", performed=False)
    discord.faults.fail("/channels/*/messages", method="POST", status=501)
    discord.add_bot(meadow)
    await discord.wait_for(lambda: lobby.messages)
    assert len(lobby.messages_ever) == 1


async def test_what_cannot_be_deleted_holds_up_nothing_else_and_is_a_problem(
    bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    later, refused = asyncio.Event(), asyncio.Event()

    async def refuse() -> None:
        refused.set()
        raise OSError("the disk is away")

    async def none_overdue() -> list[int]:
        later.set()
        return []

    monkeypatch.setattr(bot.services.moderation, "forget_old_refusals", refuse)
    monkeypatch.setattr(bot.services.removed_guilds, "fetch_overdue", none_overdue)
    monkeypatch.setattr(maintenance, "RETRY_S", 0.0)
    keeping = asyncio.create_task(maintenance.keep_promises(bot.services))
    await asyncio.wait_for(later.wait(), PATIENCE_S)
    await until(lambda: list(bot.services.problems))
    monkeypatch.undo()
    keeping.cancel()
    await asyncio.wait((keeping,))
    assert refused.is_set()
    assert not list(bot.services.problems)
