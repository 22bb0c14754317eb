"""Kills and freezes the bot and drops its answers; then checks whether anything was lost, doubled, or charged wrongly.

Bot and worker run as processes against a local Discord that never dies and is the witness. Lives of the bot follow one
another. In each, users ask for pictures and something happens: a failpoint is hit (all of them in turn, the first life
of each at its first passing), a process is killed at a random moment, frozen beyond its timeout, told to stop, or its
answers from Discord are dropped. With `--database postgresql` a server has the data; it is stopped as in a power cut
and started again, or ends the bot's sessions. Sometimes tokens expire and users delete messages. One last life runs
without faults until everything is done.

Keys: `kills` of bots and workers, and strikes at the database; `jobs`; `lost`, `duplicates`, `drift`, `unfinished`,
`stale_writes` as `oracle.py` counts them, all to be 0; `failpoints` and `database_strikes`, how often each struck;
`unanswered`, commands whose bot died before it had accepted anything (no user was told otherwise); `counted`, what the
counters of all lives add up to; `uncounted`, what the database has and no life counted, one commit a kill at most;
`unfounded`, what was counted and is not there, to be 0 (`agreement.py`); `seconds`. Exit status 0 only if all is well.
"""

from __future__ import annotations

import asyncio
import random
import re
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from bench._lives import HANG_S, Life, Lives
from bench.light_engine import ENGINE
from discord_sandbox import Sandbox
from generation.failpoints import NAMES, OF_WORKER
from tests.postgres import Server
from tests.reliability.agreement import compare, count_in_database, count_of_lives
from tests.reliability.books import Books
from tests.reliability.crowd import Crowd
from tests.reliability.database_faults import END_SESSIONS, RESTART, strike
from tests.reliability.figures import add_database, chosen_server, make_parser, report
from tests.reliability.oracle import Judgement, Witness, judge
from tests.reliability.waiting import until

REAL_START_S = 400.0
"""A real worker imports and loads for seconds, on a busy machine for minutes."""
SURE_S = 300.0
PEACE_S, REAL_PEACE_S, NAIVE_PEACE_S = 180.0, 1200.0, 8.0
"""How long the last life may go without finishing anything before it is given up. A real worker has to get up first,
on a busy machine in minutes; the control will never finish.
"""
WAYS = ("bot", "worker", "both", "freeze bot", "freeze worker", "drop answers", "stop")
_WEIGHTS = (3, 4, 12, 1, 0.5, 3, 1)
DATABASE_WAYS = (RESTART, END_SESSIONS)
_STRIKES_DATABASE = 0.3
"""How often, where there is a server to strike."""
_WITH_FAILPOINT = 0.75
_WORKER_DEATHS = 2
"""In one life of a bot: a third might end an innocent image as poison."""


def main(argv: list[str]) -> int:
    parser = make_parser("chaos", __doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many processes to kill")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random here (not: of timing)")
    parser.add_argument("--real", action="store_true", help="the built-in model in the worker, not the light engine")
    parser.add_argument("--members", type=int, default=1, help="workers behind the one queue")
    parser.add_argument("--naive", action="store_true", help="the control: a bot built the usual way, which loses")
    parser.add_argument("--keep", type=Path, help="a folder to leave database and log in")
    add_database(parser)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as temporary, chosen_server(options) as server:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chaos = Chaos(
            folder,
            kills=options.kills,
            seed=options.seed,
            is_real=options.real,
            is_naive=options.naive,
            members=options.members,
            server=server,
        )
        figures = asyncio.run(chaos.run())
    return report(figures, is_short=options.json, to_be_zero=TO_BE_ZERO, needed=("kills",))


TO_BE_ZERO = ("lost", "duplicates", "drift", "unfinished", "stale_writes", "unfounded")


class Chaos:
    """One run. `seed` decides everything; the behaviour of the processes depends on the machine."""

    remembers = 1000
    """How many calls the local Discord keeps in its journal."""

    def __init__(
        self,
        folder: Path,
        *,
        kills: int,
        seed: int,
        is_real: bool = False,
        is_naive: bool = False,
        members: int = 1,
        server: Server | None = None,
    ) -> None:
        """`server`: where the database is; without one it is a file in `folder`."""
        self._members = members
        self._log, self._folder, self._server = folder / "log", folder, server
        self._books = Books(server.create() if server else f"sqlite:///{folder / 'atelier.db'}")
        self._chance = random.Random(seed)
        self._wanted = kills
        self._is_real, self._is_naive = is_real, is_naive
        self._peace_s = NAIVE_PEACE_S if is_naive else REAL_PEACE_S if is_real else PEACE_S
        self._kills = 0
        self._struck = 0
        self._database_strikes: Counter[str] = Counter()

    async def run(self) -> dict[str, object]:
        started = time.monotonic()
        await asyncio.to_thread(self._books.migrate)
        self._log.touch()
        # What arrives is judged here, not its form: the scenarios judge that, and it takes longer than all lives.
        async with Sandbox(bot_name="Atelier", journal_limit=self.remembers, openapi="") as self._discord:
            self._witness = Witness(self._discord)
            self._crowd = Crowd(self._discord, self._witness, self._chance)
            (counters := self._folder / "counters").mkdir()
            self._lives = await self._open_lives(counters)
            try:
                await self._faults()
                await self._peace()
            finally:
                await self._lives.close()
        judged = await judge(self._books, self._folder, self._witness)
        counted = count_of_lives(counters)
        uncounted, unfounded = compare(count_in_database(self._books), counted)
        self._books.close()
        agreed = {"counted": dict(counted), "uncounted": uncounted, "unfounded": sum(unfounded.values())}
        return self._figures(judged, seconds=time.monotonic() - started) | agreed

    async def _open_lives(self, counters: Path) -> Lives:
        spoil = "tests.reliability.naive:spoil" if self._is_naive else ""
        return await Lives.open(engine=None if self._is_real else ENGINE, changed_by=spoil, counters=counters)

    # With faults.

    async def _faults(self) -> None:
        for name in NAMES:
            if self._kills < self._wanted:
                await self._life(failpoint=f"{name}:1", way="both")
        while self._kills < self._wanted:
            if self._server is not None and self._chance.random() < _STRIKES_DATABASE:
                await self._life(failpoint="", way=self._chance.choice(DATABASE_WAYS))
                continue
            passing = f"{self._chance.choice(NAMES)}:{self._chance.randint(1, 5)}"
            failpoint = passing if self._chance.random() < _WITH_FAILPOINT else ""
            await self._life(failpoint=failpoint, way=self._chance.choices(WAYS, _WEIGHTS)[0])

    async def _life(self, *, failpoint: str, way: str) -> None:
        life = await self._begin(failpoint)
        if not life.is_over:
            await self._misuse(life, failpoint, way)
        await life.kill()
        await self._count(life)

    async def _misuse(self, life: Life, failpoint: str, way: str) -> None:
        in_worker = failpoint.partition(":")[0] in OF_WORKER
        before = self._books.num_claims()
        for _ in range(self._chance.randint(2, 4)):
            self._crowd.ask()
        await until(lambda: life.is_over or self._has_news(), timeout_s=10)
        if self._is_real:  # else most kills would meet a worker that is only importing
            claimed = self._books.num_claims
            await until(lambda: life.is_over or claimed() > before, timeout_s=REAL_START_S, every_s=0.1)
        # The first time comes for sure, be it late on a busy machine; the control passes not all of them.
        is_sure = failpoint.endswith(":1") and not self._is_naive
        if in_worker:
            patience_s = SURE_S if is_sure else 60 if self._is_real else 8
            await until(lambda: life.is_over or self._is_struck(), timeout_s=patience_s, every_s=0.05)
        elif failpoint:
            await life.over(timeout_s=SURE_S if is_sure else 20 if failpoint.endswith(":1") else 3)
        await self._trouble(life, way, worker_deaths=_WORKER_DEATHS - in_worker)

    async def _begin(self, failpoint: str) -> Life:
        """Return a bot that is connected, or has ended: unfinished work may have hit the failpoint."""
        await until(lambda: not self._discord.gateway.is_connected, timeout_s=10)
        life = await self._lives.start(self._environment(failpoint), self._folder, self._log)
        self._seen = len(self._witness.told())
        await until(lambda: life.is_over or self._discord.gateway.is_connected, timeout_s=SURE_S)
        life.require_going_or_killed()
        return life

    def _has_news(self) -> bool:
        return len(self._witness.told()) > self._seen

    async def _trouble(self, life: Life, way: str, *, worker_deaths: int) -> None:
        self._crowd.spoil_messages()
        match way:
            case "worker" | "both":
                for _ in range(worker_deaths):
                    await self._kill_worker(life)
            case "freeze bot":
                life.send(signal.SIGSTOP)
                await asyncio.sleep(self._chance.uniform(0.2, 1.5))
                life.send(signal.SIGCONT)
            case "freeze worker" if not self._is_real and life.signal_worker(signal.SIGSTOP, index=self._members - 1):
                await life.over(timeout_s=HANG_S + 0.5)
                life.signal_worker(signal.SIGCONT, index=self._members - 1)
            case "drop answers":
                for path in ("/webhooks/*", "/channels/*", "/interactions/*"):
                    performed = self._chance.random() < 0.7
                    self._discord.faults.drop_answer(path, times=self._chance.randint(1, 3), performed=performed)
            case "stop":
                life.send(signal.SIGTERM)
                await life.over(timeout_s=20)
            case _ if way in DATABASE_WAYS:
                await self._strike_database(life, way)
        await life.over(timeout_s=self._chance.choice((0.0, 0.1, 0.3, 0.6)))

    async def _kill_worker(self, life: Life) -> None:
        """Kill the worker when there is one."""
        await life.over(timeout_s=self._chance.uniform(0, 8 if self._is_real else 0.4))
        if not life.is_over and life.signal_worker(signal.SIGKILL, index=self._struck_member()):
            self._kills += 1

    async def _strike_database(self, life: Life, way: str) -> None:
        """Take the bot's sessions away while it is at work. Then ask for more: what it still accepts has to arrive."""
        assert self._server is not None
        await strike(self._server, self._books.address, way, self._chance)
        self._kills += 1
        self._database_strikes[way] += 1
        self._seen = len(self._witness.told())
        for _ in range(10):  # the first may be refused
            self._crowd.ask()
            await until(lambda: life.is_over or self._has_news(), timeout_s=1)
            if life.is_over or self._has_news():
                return

    def _is_struck(self) -> bool:
        """Return whether the failpoint was hit. It is armed in one of the workers: ask until that one has work."""
        if self._members > 1 and not self._books.num_open():
            self._crowd.ask()
        return self._num_struck() > self._struck

    def _struck_member(self) -> int:
        return self._chance.randrange(self._members) if self._members > 1 else 0

    async def _count(self, life: Life) -> None:
        """Count the end of a life: its own kill, and those by failpoints in its workers."""
        struck, self._struck = self._struck, self._num_struck()
        status = await life.status()
        self._kills += status == -signal.SIGKILL
        self._kills += sum(name in OF_WORKER for name in self._strikes()[struck:])

    # Without.

    async def _peace(self) -> None:
        self._discord.faults.clear()
        life = await self._begin("")
        num_left, since = -1, time.monotonic()
        while (self._crowd.is_asking or num_left) and time.monotonic() - since < self._peace_s:
            await asyncio.sleep(0.1)
            if (now := self._books.num_open()) != num_left:
                num_left, since = now, time.monotonic()
        life.send(signal.SIGTERM)
        if not await life.over(timeout_s=30):
            await life.kill()

    def _environment(self, failpoint: str) -> dict[str, str]:
        return {
            "ATELIER_DATA_DIR": str(self._folder),
            "ATELIER_HOME": str(self._folder),
            "ATELIER_DATABASE_URL": self._books.address,
            "ATELIER_DISCORD_URL": self._discord.url,
            "ATELIER_DISCORD_TOKEN": self._discord.token,
            "ATELIER_HEALTH_PORT": "0",
            "ATELIER_NUM_THREADS": "1",
            **({"ATELIER_DEVICES": f"cpu*{self._members}"} if self._members > 1 else {}),
            "ATELIER_SHUTDOWN_GRACE_S": "2",
            "ATELIER_LOG_LEVEL": "WARNING",
            "ATELIER_FAILPOINTS": failpoint,
        }

    # What came of it.

    def _strikes(self) -> list[str]:
        return re.findall(r"action=failpoint name=(\w+)", self._log.read_text(errors="replace"))

    def _num_struck(self) -> int:
        return len(self._strikes())

    def _figures(self, judged: Judgement, *, seconds: float) -> dict[str, object]:
        struck = Counter(self._strikes())
        figures: dict[str, object] = {"kills": self._kills} | asdict(judged)
        figures["failpoints"] = {name: struck[name] for name in NAMES}
        figures["database_strikes"] = dict(self._database_strikes)
        return figures | {"unanswered": self._crowd.num_thinking, "seconds": round(seconds, 1)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
