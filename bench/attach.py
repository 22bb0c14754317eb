"""Measures how soon a bot that starts again has the warm engines of its fleet.

The whole product: a local Discord, the bot as its own process with its database, and a Ray cluster on this machine's
loopback whose members keep their engines. The first start warms them up. Then the bot is stopped and started, and its
health page is asked every 10 ms what it has.

Keys, in seconds from the start of the bot's process, medians of `--restarts`: `page_s` until its health page answers,
`discord_s` until it is connected to Discord, `members_s` until all members are up, `wait_s` what of that is left when
it is connected; `cold_s` is the first start. `engines_kept`: no engine was started after it. Ends with 1 if `wait_s`
is above 1 or an engine was started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import aiohttp

from bench._members import open_cluster
from bench.startup import running_bot
from discord_sandbox import Sandbox

MOST_WAIT_S = 1.0
_LOOK_S = 0.01
_PATIENCE_S = 600
_ENGINE = "generation.workers.child"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench attach", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--members", type=int, default=1, help="cards of the machine in the fleet")
    parser.add_argument("--restarts", type=int, default=5)
    options = parser.parse_args(argv)
    figures = asyncio.run(measure(options))
    print(json.dumps(figures))
    return int(figures["wait_s"] > MOST_WAIT_S or not figures["engines_kept"])


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Start a bot for the first time, then again and again; return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        async with open_cluster() as cluster, Sandbox(seed_world=True, bot_name="Atelier") as discord:
            await cluster.add("warm", cards=options.members)
            settings = {
                "ATELIER_DATA_DIR": folder,
                "ATELIER_DEVICES": "none",
                "ATELIER_FLEET": cluster.address.text,
                "ATELIER_FLEET_TOKEN": cluster.address.token,
            }
            cold = await _start(discord, settings, options.members)
            engines = {each.pid for each in cluster.find(_ENGINE)}
            restarts = [await _start(discord, settings, options.members) for _ in range(options.restarts)]
            kept = {each.pid for each in cluster.find(_ENGINE)} == engines
    if not options.json:
        for each in restarts:
            print(each, file=sys.stderr)
    medians = {name: round(statistics.median(each[name] for each in restarts), 3) for name in restarts[0]}
    return medians | {"cold_s": round(cold["members_s"], 3), "restarts": options.restarts, "engines_kept": kept}


async def _start(discord: Sandbox, settings: dict[str, str], num_members: int) -> dict[str, float]:
    """Start the bot and stop it; return when it had what."""
    started_s = time.perf_counter()
    async with running_bot(discord, settings) as (_, health_url):
        seen: dict[str, float] = {}
        wanted: dict[str, Callable[[dict[str, Any]], bool]] = {
            "page_s": lambda facts: True,
            "discord_s": lambda facts: facts["discord"] == "connected",
            "members_s": lambda facts: sum(bool(each["slots"]) for each in facts["workers"]) >= num_members,
        }
        async with asyncio.timeout(_PATIENCE_S), aiohttp.ClientSession() as session:
            while wanted.keys() - seen.keys():
                try:
                    async with session.get(health_url) as answer:
                        facts = await answer.json()
                except aiohttp.ClientError:
                    facts = None
                now_s = time.perf_counter() - started_s
                seen |= {name: now_s for name, holds in wanted.items() if name not in seen and facts and holds(facts)}
                await asyncio.sleep(_LOOK_S)
    return seen | {"wait_s": max(0.0, seen["members_s"] - seen["discord_s"])}
