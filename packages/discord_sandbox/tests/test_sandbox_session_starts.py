"""`session_start_limit` as Discord keeps it, shards that hold too much, and servers that are down."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from raw_bot import RawBot, raw_bot

from discord_sandbox import Sandbox
from discord_sandbox.session_starts import MAX_GUILDS_A_SHARD, WINDOW_S, SessionStarts, Start

TAKEN, TOO_FAST, TOO_MANY = Start.TAKEN, Start.TOO_FAST, Start.TOO_MANY


class Clock:
    now_s = 1.8e9

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        server.gateway.session_starts.is_strict = True
        yield server


@pytest.fixture
async def bot(server: Sandbox) -> AsyncIterator[RawBot]:
    async with raw_bot(server) as bot:
        yield bot


def test_one_session_of_each_bucket_in_five_seconds() -> None:
    clock = Clock()
    starts = SessionStarts(clock)
    starts.is_strict, starts.max_concurrency = True, 4
    assert [starts.count(shard) for shard in range(5)] == [TAKEN] * 4 + [TOO_FAST]
    clock.now_s += WINDOW_S - 0.1
    assert starts.count(1) is TOO_FAST
    clock.now_s += WINDOW_S
    assert [starts.count(shard) for shard in (8, 5, 1)] == [TAKEN, TAKEN, TOO_FAST]
    assert starts.remaining == 1000 - 9, "those that are refused count too"


def test_a_day_begins_with_all_of_its_sessions() -> None:
    clock = Clock()
    starts = SessionStarts(clock)
    starts.is_strict, starts.remaining = True, 1
    assert starts.describe(0)["session_start_limit"]["reset_after"] == 86_400_000
    assert starts.count(0) is TAKEN
    clock.now_s += 10
    assert starts.count(0) is TOO_MANY
    clock.now_s += 86_400
    assert (starts.count(0), starts.remaining) == (TAKEN, 999)


async def test_a_second_identify_within_five_seconds_is_an_invalid_session(server: Sandbox, bot: RawBot) -> None:
    await bot.connect()
    await bot.identify()
    await bot.connect()
    await bot.send(2, {"token": server.token, "properties": {}, "intents": 1})
    payload = await bot.receive()
    assert (payload["op"], payload["d"]) == (9, False)


async def test_one_identify_too_many_ends_every_session_and_the_token(server: Sandbox, bot: RawBot) -> None:
    server.gateway.session_starts.remaining = 1
    token = server.token
    async with raw_bot(server) as other:
        await other.connect()
        await other.identify(shard=[0, 2])
        await bot.connect()
        await bot.send(2, {"token": token, "properties": {}, "intents": 1, "shard": [1, 2]})
        assert await bot.receive() == {"closed": 4004}
        assert await other.receive() == {"closed": 4004}
    assert server.token != token


async def test_a_shard_that_would_hold_too_many_servers_is_refused(server: Sandbox, bot: RawBot) -> None:
    for number in range(MAX_GUILDS_A_SHARD + 1):
        server.add_guild(str(number))
    assert (await bot.call("GET", "/gateway/bot"))[1]["shards"] == 3
    await bot.connect()
    await bot.send(2, {"token": server.token, "properties": {}, "intents": 0})
    assert await bot.receive() == {"closed": 4011}


async def test_a_server_that_is_down_is_named_and_not_created(server: Sandbox, bot: RawBot) -> None:
    guild = server.add_guild("Down")
    server.faults.start_outage(guild)
    await bot.connect()
    assert (await bot.identify())["guilds"] == [{"id": str(guild.id), "unavailable": True}]
    server.faults.end_outage(guild)
    assert (await bot.event("GUILD_CREATE"))["id"] == str(guild.id)
    server.faults.start_outage(guild)
    assert await bot.event("GUILD_DELETE") == {"id": str(guild.id), "unavailable": True}


async def test_the_session_of_one_shard_can_be_invalidated(server: Sandbox, bot: RawBot) -> None:
    async with raw_bot(server) as other:
        await bot.connect()
        await bot.identify(shard=[0, 2])
        await other.connect()
        await other.identify(shard=[1, 2])
        server.faults.invalidate_session(shard=1)
        assert (await other.receive())["op"] == 9
        await bot.send(1, None)
        assert (await bot.receive())["op"] == 11, "the other goes on"
