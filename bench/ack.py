"""Measures how soon every request is answered when hundreds of servers ask at once.

The bot process, with an engine without a model behind its real worker (eight pictures a second, more than a card
paints), is asked for pictures through the wire at a steady rate by members of many servers. Discord is this process: it
only records meanwhile, and judges afterwards, because judging one message costs about 3 ms. Beside it, in the same run
and at the same rate, the least a discord.py bot can do: it acknowledges, says “queued”, and keeps nothing.

Keys: `requests`; `ack_p50_ms`, `ack_p99_ms` until the acknowledgement, `queued_p50_ms`, `queued_p99_ms` until the
answer that says the request is safely in line (or refused); `over_3s` without an acknowledgement in 3 s; `unanswered`,
`rude` refusals (public, or no sentence), `refused` and `accepted`; `violations` and how many bodies were `judged`;
`edits_per_s` by the requests' tokens, `edits_most` of one request in 5 s (Discord's limit: 5), `global_most` calls in a
second that count against the bot's own limit (50); `loop_lag_p99_ms` of the bot; `bot_cpu_ms`, `worker_cpu_ms`,
`discord_cpu_ms`, processor time a request; `delivered` by the end of the load; `plain_ack_p50_ms`, `plain_ack_p99_ms`,
`plain_queued_p99_ms`, `plain_cpu_ms` of the plain bot. With `--database postgresql` the data is on a PostgreSQL server
of the run's own; the same bot on SQLite runs before it, for four keys that begin with `sqlite_`. Exit status 0 if no
request waited over 3 s, none broke a rule, and all were accepted or politely refused.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from bench._lives import Lives
from bench._load import Asked, Load, settle
from bench.light_engine import PACED_ENGINE
from discord_sandbox import Sandbox
from tests import postgres

ROOT = Path(__file__).resolve().parents[1]
OPTIONS = {"prompt": "a red circle on a blue background", "size": "64x64", "steps": 4}
MEMBERS = 4
READY_S = 120.0
TO_BE_ZERO = ("over_3s", "violations", "unanswered", "rude")


@dataclass(frozen=True, slots=True)
class Plan:
    """The load: `rate` requests a second in all, for `seconds`."""

    rate: float
    guilds: int
    seconds: float

    @property
    def requests(self) -> int:
        return round(self.rate * self.seconds)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench ack", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second, of all servers together")
    parser.add_argument("--guilds", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--plain-seconds", type=float, default=10.0, help="how long the plain bot is asked; 0: not")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args(argv)
    plan = Plan(options.rate, options.guilds, options.seconds)
    if options.database == "sqlite":
        figures = asyncio.run(measure_atelier(plan))
    else:
        on_file = _named("sqlite", asyncio.run(measure_atelier(plan)))
        with postgres.serve(durable=True) as server:
            figures = asyncio.run(measure_atelier(plan, server.create())) | on_file
    if options.plain_seconds:
        figures |= asyncio.run(measure_plain(Plan(options.rate, options.guilds, options.plain_seconds)))
    if not options.json:
        for name, value in figures.items():
            print(f"{name:20} {value}")
    print(json.dumps(figures))
    return 0 if not any(figures[name] for name in TO_BE_ZERO) else 1


async def measure_atelier(plan: Plan, database_url: str = "") -> dict[str, float]:
    """Measure our bot under the load; without an address its database is a SQLite file."""
    async with Sandbox(bot_name="Atelier", journal_limit=1000) as discord:
        load = Load(discord, settle(discord, guilds=plan.guilds, members=MEMBERS))
        async with _atelier(discord, database_url) as (pid, health_url):
            meter = Meter(pid)
            async with undisturbed():
                await load.run("imagine", OPTIONS, rate=plan.rate, seconds=plan.seconds)
            delivered = sum(
                bool(each.interaction.original_message and each.interaction.original_message.attachments)
                for each in load.asked
            )
            figures = summarize(load.asked) | meter.per_request(plan.requests)
            figures["loop_lag_p99_ms"] = await read_loop_lag_ms(health_url)
        calls = load.calls
        figures |= {"edits_per_s": calls.edits / plan.seconds, "edits_most": calls.most_edits}
        figures |= {"global_most": calls.most_others, "delivered": delivered}
        await discord.validate_all()
        figures |= {"violations": len(discord.violations), "judged": discord.num_validated}
    return {name: round(value, 2) for name, value in figures.items()}


async def measure_plain(plan: Plan) -> dict[str, float]:
    """Measure the plain bot under the same load."""
    async with Sandbox(journal_limit=1000, openapi=None) as discord:
        load = Load(discord, settle(discord, guilds=plan.guilds, members=MEMBERS))
        environment = {"ATELIER_DISCORD_URL": discord.url, "ATELIER_DISCORD_TOKEN": discord.token}
        command = [sys.executable, "-m", "bench._plain_bot"]
        process = await asyncio.create_subprocess_exec(*command, env=os.environ | environment, cwd=ROOT)
        try:
            await discord.wait_until_ready(timeout_s=READY_S)
            meter = Meter(process.pid)
            async with undisturbed():
                await load.run("imagine", OPTIONS, rate=plan.rate, seconds=plan.seconds)
            figures = summarize(load.asked) | meter.per_request(plan.requests)
        finally:
            process.terminate()
            await process.wait()
    return _named("plain", figures)


def _named(who: str, figures: Mapping[str, float]) -> dict[str, float]:
    """Return the figures to compare with, under the name of whose they are."""
    names = {name: name for name in ("ack_p50_ms", "ack_p99_ms", "queued_p99_ms")} | {"bot_cpu_ms": "cpu_ms"}
    return {f"{who}_{new}": round(figures[old], 2) for old, new in names.items()}


@asynccontextmanager
async def _atelier(discord: Sandbox, database_url: str) -> AsyncIterator[tuple[int, str]]:
    """Start the bot; return its process id and the address of its health page."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lives = await Lives.open(engine=PACED_ENGINE, nice=None, hang_s=60)
    try:
        with tempfile.TemporaryDirectory() as folder:
            environment = {
                "ATELIER_DATA_DIR": folder,
                "ATELIER_HOME": folder,
                **({"ATELIER_DATABASE_URL": database_url} if database_url else {}),
                "ATELIER_DISCORD_URL": discord.url,
                "ATELIER_DISCORD_TOKEN": discord.token,
                "ATELIER_HEALTH_PORT": str(port),
                "ATELIER_LOG_LEVEL": "WARNING",
            }
            life = await lives.start(environment, Path(folder), Path(folder) / "log")
            await discord.wait_until_ready(timeout_s=READY_S)
            url = f"http://127.0.0.1:{port}/healthz"
            await until_well(url)
            yield life.pid, url
            await life.kill()
    finally:
        await lives.close()


async def until_well(url: str) -> None:
    async with asyncio.timeout(READY_S), aiohttp.ClientSession() as session:
        while True:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
            await asyncio.sleep(0.1)


async def read_loop_lag_ms(url: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return float((await answer.json())["loop_lag_p99_ms"])


@asynccontextmanager
async def undisturbed() -> AsyncIterator[None]:
    """Pause the garbage collector: the data for the judge grows for a minute and must not stop the clock."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Meter:
    """Measures the processor time of the bot, its worker and this process from now on."""

    def __init__(self, pid: int) -> None:
        self._bot = psutil.Process(pid)
        self._worker = self._bot.children()
        self._before = self._now()

    def per_request(self, requests: int) -> dict[str, float]:
        """Return the milliseconds per request."""
        spent = [1000 * (now - before) / requests for now, before in zip(self._now(), self._before, strict=True)]
        return dict(zip(("bot_cpu_ms", "worker_cpu_ms", "discord_cpu_ms"), spent, strict=True))

    def _now(self) -> tuple[float, float, float]:
        return _seconds(self._bot), sum(map(_seconds, self._worker)), _seconds(psutil.Process())


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def summarize(asked: Sequence[Asked]) -> dict[str, float]:
    """Return the results of the requests, and how soon they came."""
    acks = [each.interaction.ack_ms for each in asked if each.interaction.ack_ms is not None]
    told = [each.told_ms for each in asked if each.told_ms is not None]
    refusals = [each.refusal for each in asked if each.refusal is not None]
    return {
        "requests": len(asked),
        "ack_p50_ms": percentile(acks, 50),
        "ack_p99_ms": percentile(acks, 99),
        "queued_p50_ms": percentile(told, 50),
        "queued_p99_ms": percentile(told, 99),
        "over_3s": sum(each.interaction.failed for each in asked),
        "unanswered": sum(each.told_s is None for each in asked),
        "accepted": len(told) - len(refusals),
        "refused": len(refusals),
        "rude": sum(not refusal.text.rstrip().endswith(".") for refusal in refusals),
    }


def percentile(values: Sequence[float], rank: int) -> float:
    """Return the value that `rank` % of them do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * rank // 100)] if ordered else 0.0
