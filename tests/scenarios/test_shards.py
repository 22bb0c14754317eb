"""A bot of many shards, before a Discord that keeps to its `session_start_limit`."""

from __future__ import annotations

import time

from discord_sandbox import Sandbox
from discord_sandbox.snowflake import compute_shard
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

NUM_SHARDS, BUCKETS = 20, 16


async def test_twenty_shards_start_by_their_buckets(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """Where discord.py alone takes 95 s; one whose session ends begins another, and every server is served."""
    await bot.stop()
    starts = discord.gateway.session_starts
    starts.is_strict, starts.num_shards, starts.max_concurrency = True, NUM_SHARDS, BUCKETS
    guilds = [discord.add_guild(str(number)) for number in range(30)]
    discord.clock.advance(60)
    before, used = discord.gateway.num_identifies, starts.remaining
    began_s = time.monotonic()
    await bot.start()
    assert discord.gateway.num_identifies - before == used - starts.remaining == NUM_SHARDS
    assert len({each.session.shard for each in discord.gateway.connections if each.session}) == NUM_SHARDS
    assert time.monotonic() - began_s > 5, "the second round waits"
    assert {guild.shard_id for guild in bot.client.guilds} <= set(range(NUM_SHARDS))
    assert len(bot.client.guilds) == len(guilds) + 1

    shard = compute_shard(people.guild.id, NUM_SHARDS)
    discord.faults.invalidate_session(shard=shard)
    await discord.wait_for(lambda: discord.gateway.num_identifies - before == NUM_SHARDS + 1, timeout_s=60)
    await until_shown(discord, await people.ada.slash("help"))
    assert (await until_done(discord, await people.ada.slash("imagine", prompt="a red circle", steps=1))).attachments
    assert discord.gateway.num_identifies - before == NUM_SHARDS + 1, "none was refused"
