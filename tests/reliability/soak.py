"""Requests twice as much as can be generated, for any time: does anything grow that should not?

The real bot process has a paced engine in its worker. Members of three servers ask a local Discord for one picture
each, evenly, at twice the engine's speed, so that the queue is full and about half is refused. Every few seconds its
memory, open files, tasks, database and event-loop lag are measured from outside.

While it is busy, there are as many tasks as live jobs and requests, and as many files as connections to Discord that
the busiest recent moment needed. Both show the load, not a leak. So those two are compared at rest: after a first short
load (everything that is opened once is open then), and after the last.

Keys: `memory_growth`, the last fifth of the time against the second fifth (0.05 is 5 %); `files_growth` and
`tasks_growth`, the second rest against the first; `files`, `tasks` at the second; `lag_p99_ms`, the median over the
samples of the lag's 99th percentile over two minutes, and `lag_worst_p99_ms`; `painted`, `refused`, `rude` (refusals
that were public, or no sentence, or no answer at all), `seconds`; `picture`, where the curves are. Exit status 0 if
growth is at most 5 %, the lag below 50 ms, and no refusal was rude.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import psutil

from bench._lives import Life, Lives
from bench.light_engine import BUCKET, PACE_S, PACED_ENGINE
from discord_sandbox import Interaction, Sandbox, ScriptedUser
from tests.postgres import Server
from tests.reliability.books import Books
from tests.reliability.figures import add_database, chosen_server, make_parser, report
from tests.reliability.plot import Curve, draw

STEPS = 20
CAPACITY = BUCKET / (PACE_S * (STEPS + 1))
"""Pictures a second: one turn a step, and one to finish."""
OVERLOAD = 2.0
SERVERS, MEMBERS = 3, 10
MAX_GROWTH, MAX_LAG_MS = 0.05, 50.0
FIRST_CROWD_S = 20.0
REST_S = 40.0
"""An idle connection is kept for 15 s, and looked at every 15 s: the last are closed after thirty."""
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Sample:
    """The bot at one moment, `at_s` after the start."""

    at_s: float
    memory_mib: float
    files: int
    tasks: int
    database_mib: float
    lag_ms: float
    waiting: int
    running: int


def main(argv: list[str]) -> int:
    parser = make_parser("soak", __doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--picture", type=Path, default=Path("soak.svg"), help="where to draw the curves")
    add_database(parser)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, chosen_server(options) as server:
        soak = Soak(Path(folder), server)
        asyncio.run(soak.run(seconds=options.minutes * 60))
    figures = soak.figures() | {"picture": str(options.picture)}
    options.picture.write_text(draw(_curves(soak.samples)), encoding="utf-8")
    report(figures, is_short=options.json)
    return 0 if _is_well(figures) else 1


class Soak:
    """One run. `run` it, then ask for `figures`."""

    def __init__(self, folder: Path, server: Server | None) -> None:
        self._folder = folder
        self._books = Books(server.create() if server else f"sqlite:///{folder / 'atelier.db'}")
        self._painted = self._refused = self._rude = 0
        self.samples: list[Sample] = []
        """While it was busy."""
        self.rests: list[Sample] = []

    async def run(self, *, seconds: float) -> None:
        every_s = max(0.5, min(10.0, seconds / 120))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        async with Sandbox(bot_name="Atelier", journal_limit=200) as self._discord:
            people = self._settle()
            lives = await Lives.open(engine=PACED_ENGINE)
            try:
                life = await lives.start(self._environment(port), self._folder, self._folder / "log")
                await self._discord.wait_until_ready(timeout_s=120)
                self._started = time.monotonic()
                async with aiohttp.ClientSession() as session:

                    async def look() -> Sample:
                        return await self._look(session, life, port)

                    for crowd_s in (FIRST_CROWD_S, seconds):
                        self.samples = await self._busy(people, look, crowd_s, every_s=every_s)
                        self.rests.append(await _rest(look))
            finally:
                await lives.close()

    def figures(self) -> dict[str, object]:
        lags = [sample.lag_ms for sample in self.samples]
        return {
            "memory_growth": _growth([sample.memory_mib for sample in self.samples]),
            "files_growth": round(self.rests[-1].files / self.rests[0].files - 1, 4),
            "tasks_growth": round(self.rests[-1].tasks / self.rests[0].tasks - 1, 4),
            "files": self.rests[-1].files,
            "tasks": self.rests[-1].tasks,
            "memory_mib": round(self.samples[-1].memory_mib, 1),
            "database_mib": round(self.samples[-1].database_mib, 2),
            "lag_p99_ms": round(statistics.median(lags), 1),
            "lag_worst_p99_ms": round(max(lags), 1),
            "painted": self._painted,
            "refused": self._refused,
            "rude": self._rude,
            "seconds": round(self.samples[-1].at_s - self.samples[0].at_s),
        }

    def _settle(self) -> list[ScriptedUser]:
        guilds = [self._discord.add_guild(f"Server {number}") for number in range(SERVERS)]
        channels = [guild.add_channel("general") for guild in guilds]
        names = [(guild, channel, n) for guild, channel in zip(guilds, channels, strict=True) for n in range(MEMBERS)]
        return [self._discord.act_as(guild.add_member(f"{guild.name} {n}"), channel) for guild, channel, n in names]

    async def _busy(
        self, people: Sequence[ScriptedUser], look: Callable[[], Awaitable[Sample]], seconds: float, *, every_s: float
    ) -> list[Sample]:
        """Run a load for so long; return the samples."""
        samples: list[Sample] = []
        crowd = asyncio.create_task(self._crowd(people))
        until = time.monotonic() + seconds
        while time.monotonic() < until and not crowd.done():
            await asyncio.sleep(every_s)
            samples.append(await look())
        if crowd.done():
            crowd.result()
        crowd.cancel()
        await asyncio.wait((crowd,))
        return samples

    async def _crowd(self, people: Sequence[ScriptedUser]) -> None:
        """Send one request after another, evenly, whatever their results."""
        pause_s = 1 / (OVERLOAD * CAPACITY)
        due, number = time.monotonic(), 0
        async with asyncio.TaskGroup() as asking:
            while True:
                asking.create_task(self._ask(people[(number * 7) % len(people)]))
                due, number = due + pause_s, number + 1
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _ask(self, who: ScriptedUser) -> None:
        prompt = "a red circle on a blue background"
        asked = await who.slash("imagine", prompt=prompt, steps=STEPS, size="64x64")
        if asked.response_message is None or asked.ephemeral:
            self._refused += 1
            self._rude += not _is_polite(asked)
            return
        try:
            await self._discord.world.wait_for(lambda: _is_answered(asked), timeout_s=_PATIENCE_S)
        except TimeoutError:
            self._rude += 1
            return
        if asked.followups:
            self._refused += 1
            self._rude += not _is_polite(asked)
        else:
            self._painted += 1

    async def _look(self, session: aiohttp.ClientSession, life: Life, port: int) -> Sample:
        process = psutil.Process(life.pid)
        async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
            health = await answer.json()
        database = await asyncio.to_thread(self._books.size_bytes)
        return Sample(
            at_s=time.monotonic() - self._started,
            memory_mib=process.memory_info().rss / 2**20,
            files=process.num_fds(),
            tasks=health["tasks"],
            database_mib=database / 2**20,
            lag_ms=health["loop_lag_p99_ms"],
            waiting=health["waiting"],
            running=health["running"],
        )

    def _environment(self, port: int) -> dict[str, str]:
        return {
            "ATELIER_DATA_DIR": str(self._folder),
            "ATELIER_HOME": str(self._folder),
            "ATELIER_DATABASE_URL": self._books.address,
            "ATELIER_DISCORD_URL": self._discord.url,
            "ATELIER_DISCORD_TOKEN": self._discord.token,
            "ATELIER_HEALTH_PORT": str(port),
            "ATELIER_MAX_WAITING_PER_USER": "4",
            "ATELIER_MAX_WAITING_PER_GUILD": "20",
            "ATELIER_LOG_LEVEL": "WARNING",
        }


async def _rest(look: Callable[[], Awaitable[Sample]]) -> Sample:
    """Return a sample at rest: no requests, everything posted, and idle connections closed."""
    async with asyncio.timeout(_PATIENCE_S):
        while (sample := await look()).waiting or sample.running:  # noqa: ASYNC110 - another process
            await asyncio.sleep(1)
    await asyncio.sleep(REST_S)
    return await look()


def _is_answered(asked: Interaction) -> bool:
    message = asked.original_message
    if asked.followups or message is None or message.is_loading:
        return bool(asked.followups)
    is_going = any(":cancel:" in button.get("custom_id", "") for button in message.buttons)
    return bool(message.attachments) and not is_going


def _is_polite(asked: Interaction) -> bool:
    """Return whether it is one private sentence."""
    said = asked.followups[0] if asked.followups else asked.original_message
    return said is not None and said.is_ephemeral and said.text.rstrip().endswith(".")


def _growth(values: Sequence[float]) -> float:
    """The last fifth against the second: the first is warm-up."""
    fifth = max(1, len(values) // 5)
    before, after = statistics.median(values[fifth : 2 * fifth] or values), statistics.median(values[-fifth:])
    return round(after / before - 1, 4)


def _is_well(figures: dict[str, object]) -> bool:
    growths = [figures[name] for name in ("memory_growth", "files_growth", "tasks_growth")]
    within = all(isinstance(growth, float) and growth <= MAX_GROWTH for growth in growths)
    lag = figures["lag_p99_ms"]
    return within and isinstance(lag, float) and lag < MAX_LAG_MS and not figures["rude"]


def _curves(samples: Sequence[Sample]) -> list[Curve]:
    def curve(title: str, values: Sequence[float]) -> Curve:
        return Curve(title, [(sample.at_s / 60, value) for sample, value in zip(samples, values, strict=True)])

    return [
        curve("memory of the bot, MiB", [sample.memory_mib for sample in samples]),
        curve("open files", [sample.files for sample in samples]),
        curve("tasks", [sample.tasks for sample in samples]),
        curve("database, MiB", [sample.database_mib for sample in samples]),
        curve("event-loop lag, p99 of two minutes, ms", [sample.lag_ms for sample in samples]),
        curve("pictures waiting", [sample.waiting for sample in samples]),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
