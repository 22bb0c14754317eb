"""Measures shares through the whole program: the real bot process, its worker, a model, a local Discord.

Three servers ask a local Discord for pictures over and over; one of them floods, with four times as many requests
waiting as the others, of longer pictures. Their shares are the cost of what was painted for each while all three had
work (a picture costs its steps and two more for the rest), as the ledger's images say.

Keys: `shares` by server (the flooding one first), to be a third each; `largest_error`, the largest difference from a
third relative to it; `units`, painted in all in that time; `seconds`; `requests`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from discord_sandbox import Guild, Interaction, Sandbox, ScriptedUser

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "a red circle on a blue background"
FLOOD = (24, 4, 8)
"""Requests kept waiting, pictures a request, steps a picture."""
STEADY = (6, 4, 4)
SIZE = "64x64"
MEMBERS = 5
"""Ask in turn, so that no one of them is over what one member may have waiting."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench shares", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--seconds", type=float, default=90.0, help="how long all three ask")
    parser.add_argument("--model", default="paintbox", help="`paintbox`, or a model folder")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(Path(folder), seconds=options.seconds, model=options.model))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:16} {value}")
    print(json.dumps(figures))
    return 0


async def measure(folder: Path, *, seconds: float, model: str) -> dict[str, object]:
    """Run the load for so long, then count. Raise `TimeoutError` if the bot does not start."""
    async with Sandbox(bot_name="Atelier") as discord, _serving(discord, folder, model) as process:
        guilds = [discord.add_guild(name) for name in ("Flood", "North", "South")]
        askers = [asyncio.create_task(_ask(discord, guild, index)) for index, guild in enumerate(guilds)]
        await discord.wait_for(lambda: _is_painting(folder, [guild.id for guild in guilds]), timeout_s=300)
        before, started = _painted(folder), time.monotonic()
        await asyncio.wait(askers, timeout=seconds)
        after, took = _painted(folder), time.monotonic() - started
        for asker in askers:
            asker.cancel()
        await asyncio.gather(*askers, return_exceptions=True)
        process.kill()
        requests = _count(folder)
    painted = [after.get(guild.id, 0) - before.get(guild.id, 0) for guild in guilds]
    shares = [units / max(1, sum(painted)) for units in painted]
    return {
        "shares": [round(share, 4) for share in shares],
        "largest_error": round(max(abs(3 * share - 1) for share in shares), 4),
        "units": sum(painted),
        "seconds": round(took, 1),
        "requests": requests,
    }


@asynccontextmanager
async def _serving(discord: Sandbox, folder: Path, model: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run the unchanged program in a process of its own."""
    environment = os.environ | {
        "ATELIER_DATA_DIR": str(folder),
        "ATELIER_HOME": str(folder),
        "ATELIER_DISCORD_URL": discord.url,
        "ATELIER_DISCORD_TOKEN": discord.token,
        "ATELIER_HEALTH_PORT": "0",
        "ATELIER_NUM_THREADS": "1",
        "ATELIER_MODEL": model,
        "ATELIER_LOG_LEVEL": "ERROR",
        "ATELIER_MAX_WAITING_PER_USER": "100",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "bot.py"), "serve", env=environment, cwd=folder
    )
    try:
        await discord.wait_for(lambda: discord.gateway.is_connected, timeout_s=60)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _ask(discord: Sandbox, guild: Guild, index: int) -> None:
    """Keep so many requests of a guild waiting, until cancelled."""
    waiting, count, steps = STEADY if index else FLOOD
    channel = guild.add_channel("general")
    members = [discord.act_as(guild.add_member(f"member{index}-{each}"), channel) for each in range(MEMBERS)]
    await asyncio.gather(*(_ask_again(discord, members[each % MEMBERS], count, steps) for each in range(waiting)))


async def _ask_again(discord: Sandbox, member: ScriptedUser, count: int, steps: int) -> None:
    while True:
        asked = await member.slash("imagine", prompt=PROMPT, count=count, steps=steps, size=SIZE)
        await discord.wait_for(lambda one=asked: _is_delivered(one, count), timeout_s=3600)  # type: ignore[misc]


def _is_delivered(asked: Interaction, count: int) -> bool:
    message = asked.original_message
    return message is not None and len(message.attachments) == count


def _is_painting(folder: Path, guild_ids: list[int]) -> bool:
    return set(guild_ids) <= _painted(folder).keys()


def _painted(folder: Path) -> dict[int, int]:
    """Return the cost units of finished pictures by guild, from the database."""
    query = (
        "SELECT jobs.guild_id, sum(images.charged) FROM images JOIN jobs ON jobs.id = job_id "
        "WHERE images.status = 'done' GROUP BY jobs.guild_id"
    )
    return {int(guild_id): int(units) for guild_id, units in _read(folder, query)}


def _count(folder: Path) -> int:
    return int(_read(folder, "SELECT count(*), 0 FROM jobs")[0][0])


def _read(folder: Path, query: str) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(f"file:{folder / 'atelier.db'}?mode=ro", uri=True)) as connection:
        return connection.execute(query).fetchall()
