"""Measures what requests over HTTP cost those of Discord, and that none is lost.

The bot process, with an engine without a model behind its real worker, is asked for pictures by members of many servers
twice, each time from an empty database: on Discord alone, then on Discord while programs with keys submit jobs over
HTTP. Discord and the programs are this process, so on few processors they slow down what they measure.

Keys: of Discord alone `alone_ack_p50_ms`, `alone_ack_p99_ms`, `alone_queued_p99_ms`, and beside the API the same as
`beside_...`. Of both runs `over_3s`, `unanswered`, `loop_lag_p99_ms` of the bot, its memory before and after the load
(`rss_before_mb`, `rss_after_mb`), and `bot_cpu_ms`, processor time per request of either kind. Of the API `submitted`,
`accepted`, `refused` by name, `failed` without an answer, `submit_p50_ms`, `submit_p99_ms`, `submit_cpu_ms` (what the
bot spent beside the programs and not without them, per submission), `lost` (accepted, and not in the database), and the
`jobs` in the database. Exit status 0 if nothing was lost, failed or unanswered.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from bench._lives import Lives
from bench._load import Load, settle
from bench.ack import OPTIONS, READY_S, Meter, Plan, percentile, read_loop_lag_ms, summarize, undisturbed, until_well
from bench.light_engine import PACED_ENGINE
from db.engine import Database
from db.stores.api_keys import ApiKeyStore
from discord_sandbox import Sandbox, ScriptedUser
from generation.clock import utc_now
from generation.owner import Owner

MEMBERS, NUM_KEYS = 4, 100
BODY = {"prompt": OPTIONS["prompt"], "size": OPTIONS["size"], "steps": OPTIONS["steps"]}
TO_BE_ZERO = ("lost", "failed", "alone_over_3s", "beside_over_3s", "alone_unanswered", "beside_unanswered")


API_FIGURES = (
    "submitted",
    "accepted",
    "refused",
    "failed",
    "submit_p50_ms",
    "submit_p99_ms",
    "lost",
    "jobs",
)
DISCORD_FIGURES = (
    "requests",
    "ack_p50_ms",
    "ack_p99_ms",
    "queued_p99_ms",
    "over_3s",
    "unanswered",
    "bot_cpu_ms",
    "loop_lag_p99_ms",
    "rss_before_mb",
    "rss_after_mb",
)


@dataclass
class Programs:
    """What programs submitted over HTTP, and what came of it."""

    took_ms: list[float] = field(default_factory=list)
    job_ids: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    num_failed: int = 0

    async def run(self, url: str, keys: Sequence[str], plan: Plan) -> None:
        """Submit `plan.requests` jobs at its rate; return when all are answered."""
        connector, timeout = aiohttp.TCPConnector(limit=64), aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            started = time.perf_counter()
            async with asyncio.TaskGroup() as asking:
                for number in range(plan.requests):
                    asking.create_task(self._submit(session, url, keys[number % len(keys)]))
                    await asyncio.sleep(max(0.0, started + (number + 1) / plan.rate - time.perf_counter()))

    async def _submit(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        began_s = time.perf_counter()
        try:
            auth = {"Authorization": f"Bearer {key}"}
            async with session.post(f"{url}/api/v1/jobs", json=BODY, headers=auth) as answer:
                said = await answer.json()
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.num_failed += 1
            return
        self.took_ms.append((time.perf_counter() - began_s) * 1000)
        if answer.status == 202:
            self.job_ids.append(said["id"])
        else:
            self.refused[str(said["error"])] += 1


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench api", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--rate", type=float, default=100.0, help="submissions a second over HTTP")
    parser.add_argument("--discord-rate", type=float, default=50.0, help="requests a second on Discord")
    parser.add_argument("--guilds", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args(argv)
    on_discord = Plan(options.discord_rate, options.guilds, options.seconds)
    figures = asyncio.run(measure(on_discord, Plan(options.rate, options.guilds, options.seconds)))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:24} {value}")
    print(json.dumps(figures))
    return 0 if not any(figures[name] for name in TO_BE_ZERO) else 1


async def measure(on_discord: Plan, over_http: Plan) -> dict[str, object]:
    """Measure Discord alone, then beside the API."""
    alone = await _measure_run(on_discord, None)
    beside = await _measure_run(on_discord, over_http)
    shared = {name: value for name, value in beside.items() if name in API_FIGURES}
    shared["submit_cpu_ms"] = round((_sum_cpu_ms(beside) - _sum_cpu_ms(alone)) / over_http.requests, 2)
    named = {f"alone_{name}": value for name, value in alone.items() if name not in API_FIGURES}
    return named | {f"beside_{name}": value for name, value in beside.items() if name not in API_FIGURES} | shared


def _sum_cpu_ms(figures: Mapping[str, Any]) -> float:
    return float(figures["bot_cpu_ms"] * (figures["requests"] + figures["submitted"]))


async def _measure_run(on_discord: Plan, over_http: Plan | None) -> dict[str, object]:
    programs = Programs()
    with tempfile.TemporaryDirectory() as folder:
        async with Sandbox(bot_name="Atelier", journal_limit=1000, openapi=None) as discord:
            people = settle(discord, guilds=on_discord.guilds, members=MEMBERS)
            keys = await _make_keys(Path(folder), people)
            load = Load(discord, people)
            async with _atelier(discord, Path(folder)) as (pid, health, url):
                meter, before = Meter(pid), _measure_mb(pid)
                async with undisturbed(), asyncio.TaskGroup() as running:
                    running.create_task(load.run("imagine", OPTIONS, rate=on_discord.rate, seconds=on_discord.seconds))
                    if over_http is not None:
                        running.create_task(programs.run(url, keys, over_http))
                number = on_discord.requests + (over_http.requests if over_http is not None else 0)
                figures = {
                    **summarize(load.asked),
                    "bot_cpu_ms": meter.per_request(number)["bot_cpu_ms"],
                    "loop_lag_p99_ms": await read_loop_lag_ms(health),
                    "rss_before_mb": before,
                    "rss_after_mb": _measure_mb(pid),
                }
        stored = _read_jobs(Path(folder) / "atelier.db")
    rounded: dict[str, object] = {name: round(value, 2) for name, value in figures.items() if name in DISCORD_FIGURES}
    return rounded | {
        "submitted": over_http.requests if over_http is not None else 0,
        "accepted": len(programs.job_ids),
        "refused": dict(programs.refused),
        "failed": programs.num_failed,
        "submit_p50_ms": round(percentile(programs.took_ms, 50), 2),
        "submit_p99_ms": round(percentile(programs.took_ms, 99), 2),
        "lost": len(set(programs.job_ids) - stored),
        "jobs": len(stored),
    }


async def _make_keys(folder: Path, people: Sequence[ScriptedUser]) -> list[str]:
    """Make a key for one member of each of the first servers, before the bot has the database."""
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        store = ApiKeyStore(database, clock=utc_now)
        members = [each.member for each in people[::MEMBERS][:NUM_KEYS] if each.member is not None]
        return [await store.create(Owner(each.guild.id, each.user.id), "bench") for each in members]


@asynccontextmanager
async def _atelier(discord: Sandbox, folder: Path) -> AsyncIterator[tuple[int, str, str]]:
    """Start the bot; yield its process id, and the addresses of its health page and its API."""
    lives = await Lives.open(engine=PACED_ENGINE, nice=None, hang_s=60)
    health, api = _find_port(), _find_port()
    try:
        environment = {
            "ATELIER_DATA_DIR": str(folder),
            "ATELIER_HOME": str(folder),
            "ATELIER_DISCORD_URL": discord.url,
            "ATELIER_DISCORD_TOKEN": discord.token,
            "ATELIER_HEALTH_PORT": str(health),
            "ATELIER_API_PORT": str(api),
            "ATELIER_MAX_WAITING_PER_USER": "1000",
            "ATELIER_LOG_LEVEL": "WARNING",
        }
        life = await lives.start(environment, folder, folder / "log")
        await discord.wait_until_ready(timeout_s=READY_S)
        url = f"http://127.0.0.1:{health}/healthz"
        await until_well(url)
        yield life.pid, url, f"http://127.0.0.1:{api}"
        await life.kill()
    finally:
        await lives.close()


def _find_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _measure_mb(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def _read_jobs(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {job_id for (job_id,) in connection.execute("SELECT id FROM jobs")}
