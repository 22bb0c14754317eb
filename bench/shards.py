"""Measures what one bot process carries: memory and processor time by the number of servers, in many shards.

A local Discord with so many servers (each of ten channels, five roles) that keeps to its `session_start_limit`, and
the whole program beside it.

Keys: `ready_s` from the start of the program until all shards are ready, `cpu_s` processor time of the bot process by
then, `bot_rss_mb` memory, `kb_a_server` what a server adds to that of a bot in none, `loop_lag_p99_ms` of the start.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import psutil

from bench.startup import running_bot, wait_until_well
from discord_sandbox import Sandbox

_MB = 2**20


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench shards", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--max-concurrency", type=int, default=16)
    options = parser.parse_args(argv)
    alone = asyncio.run(_measure(0, options.max_concurrency))
    figures = asyncio.run(_measure(options.servers, options.max_concurrency))
    figures["kb_a_server"] = (figures["bot_rss_mb"] - alone["bot_rss_mb"]) * 1024 / options.servers
    figures["bot_rss_mb_in_none"] = alone["bot_rss_mb"]
    if not options.json:
        for name, value in figures.items():
            print(f"{name:24} {value:10.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return 0


async def _measure(num_servers: int, max_concurrency: int) -> dict[str, float]:
    async with Sandbox(bot_name="Atelier") as discord:
        _fill(discord, num_servers)
        starts = discord.gateway.session_starts
        starts.is_strict, starts.max_concurrency = True, max_concurrency
        began_s = time.perf_counter()
        async with running_bot(discord) as (process, health_url):
            facts: dict[str, Any] = await wait_until_well(health_url)
            ready_s = time.perf_counter() - began_s
            bot = psutil.Process(process.pid)
            times = bot.cpu_times()
            return {
                "servers": num_servers,
                "shards": len(discord.gateway.connections),
                "ready_s": ready_s,
                "cpu_s": times.user + times.system,
                "bot_rss_mb": bot.memory_info().rss / _MB,
                "loop_lag_p99_ms": facts["loop_lag_p99_ms"],
            }


def _fill(discord: Sandbox, num_servers: int) -> None:
    for number in range(num_servers):
        guild = discord.add_guild(f"Server {number}")
        for each in range(10):
            guild.add_channel(f"channel-{each}")
        for each in range(5):
            guild.add_role(f"Role {each}")
