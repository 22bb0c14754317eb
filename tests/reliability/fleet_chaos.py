"""Strikes at a fleet: engines, actors, machines, the network, Ray's head, the bot's driver, the bot, the database.

One bot after the other with a worker of its own and a fleet as `docs/fleet.md` has people type it: machines of Linux
namespaces, Ray's processes, and a light engine on each that takes its time. Where work is under way, something happens
to it: its *engine* or *actor* is killed; its machine loses power and boots again (*node*), stands still for up to 25 s
and finishes late (*freeze*), or is cut off as long (*partition*); the *driver* is killed or stopped; Ray's *head* is
killed and started again, and machines join again; the *bot* is killed at a failpoint or at a random moment; the
*database* is stopped as in a power cut, or ends the bot's sessions. Strikes do not wait for the traces of those before.
One last life runs without faults until everything is done.

Keys: `strikes` by kind, `kills` in all; `jobs`; `lost`, `duplicates`, `drift`, `unfinished`, `stale_writes` as
`oracle.py` counts them, and `stuck`, work that did not go on within minutes, all to be 0; `goes_on` by kind: how many
were timed, and `p50_s` and `p95_s` until a picture of the struck work got on again; `spared`, strikes whose work ended
all the same; `slow`, kinds beyond `--slack` times their limit; `load`, the mean load of the machine; `seconds`. Exit
status 0 only if all is well. It needs Linux, and root or user namespaces (for PostgreSQL: root).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from statistics import mean
from typing import Any

from bench._lives import Lives
from tests.reliability.chaos import TO_BE_ZERO, Chaos
from tests.reliability.figures import add_database, chosen_server, make_parser, report
from tests.reliability.fleet import trace
from tests.reliability.fleet.machines import NoMachinesError, isolate
from tests.reliability.fleet.ray_fleet import HEAD, LEAN, RayFleet
from tests.reliability.fleet.slow_engine import ENGINE
from tests.reliability.fleet.strikes import EVERYWHERE, Strikes
from tests.reliability.fleet.times import Times
from tests.reliability.oracle import Judgement
from tests.reliability.waiting import until

NAMES = ("attic", "den", "loft", "shed")
STEPS = (8, 16)
"""Of a picture: some seconds of work."""
FULL = 20
"""So many pictures and results under way keep three members busy, and one has room for all of them."""
ASK_EVERY_S = 0.5
RAY_S = 600.0
"""For what a busy machine takes to start Ray's processes."""
STUCK_S = 240.0
HANG_S = 60.0
"""A light worker that is silent for so long hangs, however busy the machine is."""
_CHECKPOINT = 10


def main(argv: list[str]) -> int:
    parser = make_parser("fleet_chaos", __doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many strikes")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random here (not: of timing)")
    parser.add_argument("--machines", type=int, default=2, choices=range(1, len(NAMES) + 1), help="beside the bot's")
    parser.add_argument("--minutes", type=float, default=600.0, help="strike for so long at most")
    parser.add_argument("--slack", type=float, default=3.0, help="what a busy machine is allowed, in times the limit")
    parser.add_argument("--keep", type=Path, help="a folder to leave database and logs in")
    parser.add_argument("--only", default="", help="kinds of strikes, such as engine,actor; else all")
    add_database(parser)
    options = parser.parse_args(argv)
    try:
        isolate([sys.executable, "-m", "tests.reliability.fleet_chaos", *argv])
    except NoMachinesError as missing:
        print(missing, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary, chosen_server(options) as server:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        chaos = FleetChaos(folder.absolute(), kills=options.kills, seed=options.seed, server=server)
        chaos.configure(
            machines=options.machines,
            minutes=options.minutes,
            slack=options.slack,
            only=tuple(filter(None, options.only.split(","))),
        )
        figures = asyncio.run(chaos.run())
    return report(figures, is_short=options.json, to_be_zero=(*TO_BE_ZERO, "stuck", "slow"), needed=("kills", "jobs"))


class FleetChaos(Chaos):
    """One run. `kills` are strikes here."""

    def configure(
        self, *, machines: int = 2, minutes: float = 600.0, slack: float = 3.0, only: tuple[str, ...] = ()
    ) -> None:
        self._num_machines, self._only, self._longest_s = machines, only, 60 * minutes
        self._times, self._strikes_of = Times(slack), Counter[str]()
        self._spared = self._stuck = 0
        self._loads: list[float] = []
        self._asked_at_s = 0.0
        self._trace = trace.Trace(self._folder / "trace")
        self._fleet = RayFleet(self._folder)

    async def run(self) -> dict[str, object]:
        await self._fleet.start(NAMES[: self._num_machines])
        try:
            return await super().run()
        finally:
            await self._fleet.stop()

    async def _open_lives(self, counters: Path) -> Lives:
        return await Lives.open(
            engine=ENGINE, hang_s=HANG_S, changed_by="tests.reliability.fleet.trace:install", counters=counters
        )

    # With faults.

    async def _faults(self) -> None:
        self._strike = Strikes(self._fleet, self._trace, self._chance, self._only, has_server=self._server is not None)
        self._current = await self._begin("")
        await until(self._strike.are_all_up, timeout_s=RAY_S, every_s=0.5)
        self._began_s = time.monotonic()
        while self._kills < self._wanted and time.monotonic() - self._began_s < self._longest_s:
            if self._current.is_over:
                self._current = await self._begin(self._strike.draw_failpoint())
            elif (kind := self._strike.draw_kind_for_all()) is not None:
                await self._strike_all(kind)
            else:
                await self._strike_one()
        await self._strike.undo_all()
        await self._current.kill()

    async def _strike_one(self) -> None:
        """Strike at a member that gets on with something."""
        if (member := await self._find_at_work()) is None:
            return
        kind = self._strike.draw_kind(member)
        work, losses, at_s = self._trace.at_work(member), dict(self._trace.losses), time.monotonic()
        if not await self._strike.hit(kind, member, self._current):
            return  # its engine or actor was just on its way
        self._note_strike(kind)
        await self._await_work(kind, work, losses, at_s)

    async def _strike_all(self, kind: str) -> None:
        """Strike at what holds the work of several members, or of all."""
        if await self._find_at_work() is None:
            return
        members = [name for name in self._trace.held if kind in EVERYWHERE or name != trace.HERE]
        work = {image: attempt for name in members for image, attempt in self._trace.at_work(name).items()}
        if not work or not self._strike.may_lose(work):
            return
        losses, at_s = dict(self._trace.losses), time.monotonic()
        self._note_strike(kind)
        match kind:
            case "database":
                assert self._server is not None
                await self._strike.hit_database(self._server, self._books.address)
                return  # what was under way goes on where it is
            case "bot":
                await self._current.kill()
                self._current = await self._begin(self._strike.draw_failpoint())
            case "driver":
                self._strike.hit_driver(self._current)
            case "head":
                await self._fleet.kill_head()
        await self._await_work(kind, work, losses, at_s)
        if kind == "head":
            await self._strike.undo_all()
            await self._fleet.join_again()

    async def _find_at_work(self) -> str | None:
        """Ask for pictures until a member gets on with some; return its name, or None if the bot ends."""
        since_s = time.monotonic()
        while not self._current.is_over:
            self._trace.read()
            waited_s = time.monotonic() - since_s
            if able := self._strike.list_able(waited_s=waited_s):
                return self._chance.choice(able)
            if waited_s > RAY_S:
                raise TimeoutError(f"no member got on with anything for {RAY_S:g} s")
            self._ask()
            await asyncio.sleep(0.2)
        self._note_strike("bot")  # by its failpoint
        return None

    async def _await_work(self, kind: str, work: Mapping[str, int], losses: Mapping[str, int], at_s: float) -> None:
        """Wait until struck work gets on again. Note when it did, unless all of it was lost before: then each picture
        waits until a member is emptied for it."""
        is_fresh = not all(losses.get(each) for each in work)
        while time.monotonic() - at_s < STUCK_S:
            self._trace.read()
            if (first_s := self._trace.find_first(work, at_s)) is not None:
                if is_fresh:
                    self._times.note(kind, first_s - at_s)
                return
            if self._trace.was_spared(work, losses):
                self._spared += 1
                return
            if self._current.is_over:
                return
            self._ask()
            await asyncio.sleep(0.02)
        self._stuck += 1
        print(f"stuck: {kind} {dict(work)}", file=sys.stderr, flush=True)

    def _ask(self) -> None:
        """Have enough under way."""
        if time.monotonic() - self._asked_at_s < ASK_EVERY_S:
            return
        self._asked_at_s = time.monotonic()
        for _ in range((FULL - self._books.num_open() + 1) // 2):
            self._crowd.ask(steps=STEPS)

    def _note_strike(self, kind: str) -> None:
        self._kills += 1
        self._strikes_of[kind] += 1
        self._loads.append(os.getloadavg()[0])
        self._crowd.spoil_messages()
        if self._kills % _CHECKPOINT == 0:
            print(json.dumps(self._own_figures()), file=sys.stderr, flush=True)

    # What came of it.

    def _environment(self, failpoint: str) -> dict[str, str]:
        return super()._environment(failpoint) | {
            "ATELIER_DEVICES": trace.HERE,
            "ATELIER_FLEET": HEAD,
            "ATELIER_FLEET_TOKEN_FILE": str(self._fleet.token_file),
            "PYTHONPATH": LEAN,
            trace.FILE: str(self._trace.path),
        }

    def _figures(self, judged: Judgement, *, seconds: float) -> dict[str, object]:
        figures = super()._figures(judged, seconds=seconds)
        del figures["database_strikes"]
        return self._own_figures() | figures

    def _own_figures(self) -> dict[str, Any]:
        return {
            "strikes": dict(sorted(self._strikes_of.items())),
            "goes_on": self._times.figures(),
            "slow": len(self._times.list_slow()),
            "stuck": self._stuck,
            "spared": self._spared,
            "load": round(mean(self._loads), 1) if self._loads else 0.0,
            "since_s": round(time.monotonic() - self._began_s),
        }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
