"""A minute in which Discord limits, fails and drops answers without end; then everything must have arrived, once.

One life of the bot with the light engine, against a local Discord where most calls to interactions, webhooks and
channels meet a fault: 429, 5xx with or without having done what was asked, or no answer. People go on asking.

Keys: `faults`, how many calls met one, `first_answers` of them to interactions; `failed`, commands that Discord had no
answer to in time; `unasked`, jobs that no other command shows; `invalid`, answers of 401, 403 and 429 (Discord bans an
address for 10,000 of them in ten minutes); then as of `chaos`, where `unanswered` has to be 0 here, too. Exit
status 0 only if all that has to be 0 is.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from fnmatch import fnmatchcase
from pathlib import Path

from tests.postgres import Server
from tests.reliability.chaos import TO_BE_ZERO, Chaos
from tests.reliability.figures import add_database, chosen_server, make_parser, report
from tests.reliability.oracle import Judgement

EVERY_S, ASK_EVERY_S = 0.1, 1.0
OFTEN = 0.7
"""How often the next call is given a fault, where none lies in wait for it."""
FIRST_ANSWERS = "/interactions/*"
PATHS = (FIRST_ANSWERS, "/webhooks/*", "/channels/*")
MAX_INVALID = 10_000


def main(argv: list[str]) -> int:
    parser = make_parser("storm", __doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    add_database(parser)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, chosen_server(options) as server:
        figures = asyncio.run(Storm(Path(folder), seconds=options.seconds, seed=options.seed, server=server).run())
    to_be_zero, needed = (*TO_BE_ZERO, "unanswered", "unasked"), ("jobs", "first_answers", "is_far_from_a_ban")
    return report(figures, is_short=options.json, to_be_zero=to_be_zero, needed=needed)


class Storm(Chaos):
    """One life with faults for so many seconds."""

    remembers = 100_000

    def __init__(self, folder: Path, *, seconds: float, seed: int, server: Server | None = None) -> None:
        super().__init__(folder, kills=0, seed=seed, server=server)
        self._seconds = seconds

    async def _faults(self) -> None:
        life = await self._begin("")
        began = asked = time.monotonic()
        while time.monotonic() - began < self._seconds:
            if time.monotonic() >= asked:
                self._crowd.ask()
                asked += ASK_EVERY_S
            for path in PATHS:
                self._lay_fault(path)
            await asyncio.sleep(EVERY_S)
        self._discord.faults.clear()
        troubled = [call.path for call in self._discord.journal.calls if call.fault]
        self._num_faults, self._num_first = len(troubled), sum(fnmatchcase(path, FIRST_ANSWERS) for path in troubled)
        self._num_invalid = self._discord.journal.num_invalid
        life.send(signal.SIGTERM)
        if not await life.over(timeout_s=60):
            await life.kill()

    def _lay_fault(self, path: str) -> None:
        faults = self._discord.faults
        if any(fault.path == path for fault in faults.active) or self._chance.random() > OFTEN:
            return
        # Discord limits first answers rarely; that their outcome stays unknown is the trouble here.
        often = "drop" if path == FIRST_ANSWERS else "limit"
        match self._chance.choice((often, "limit", "fail", "done", "drop", "lose")):
            case "limit":
                faults.rate_limit(path, times=1, retry_after_s=self._chance.uniform(0.1, 1.5))
            case "fail":
                faults.fail(path, times=1, status=self._chance.choice((500, 502, 503)))
            case "done":
                faults.fail(path, times=1, status=500, performed=True)
            case "drop":
                faults.drop_answer(path, times=1)
            case "lose":
                faults.drop_answer(path, times=1, performed=False)

    def _figures(self, judged: Judgement, *, seconds: float) -> dict[str, object]:
        figures = super()._figures(judged, seconds=seconds)
        del figures["kills"], figures["failpoints"], figures["database_strikes"]
        in_ten_minutes = self._num_invalid * 600 / self._seconds
        own = {"faults": self._num_faults, "first_answers": self._num_first, "invalid": self._num_invalid}
        own["failed"] = sum(asked.failed for asked in self._crowd.asked)
        own["unasked"] = len(self._witness.told() - self._witness.asked(self._crowd.asked))
        return own | {"is_far_from_a_ban": in_ten_minutes < MAX_INVALID / 10} | figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
