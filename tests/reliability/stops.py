"""SIGTERM again and again with work in progress: checks that each life ends by itself and the next resumes everything.

Lives of the bot with the light engine follow one another against a local Discord that never dies, as in
`chaos`; each gets SIGTERM while pictures wait and are painted. There are no leases that would have to expire.

Keys: `stops`; `slow`, those that were not over within the grace period and ten seconds; `unclean`, those whose exit
status was not 0; `longest_s`; then as of `chaos`. Exit status 0 only if all that has to be 0 is.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.reliability.chaos import TO_BE_ZERO, Chaos
from tests.reliability.figures import add_database, chosen_server, make_parser, report
from tests.reliability.oracle import Judgement
from tests.reliability.waiting import until

GRACE_S, MARGIN_S = 2.0, 10.0


def main(argv: list[str]) -> int:
    parser = make_parser("stops", __doc__)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    add_database(parser)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, chosen_server(options) as server:
        figures = asyncio.run(Stops(Path(folder), kills=options.stops, seed=options.seed, server=server).run())
    return report(figures, is_short=options.json, to_be_zero=(*TO_BE_ZERO, "slow", "unclean"), needed=("jobs",))


class Stops(Chaos):
    """`kills` are stops here."""

    async def _faults(self) -> None:
        self._slow = self._unclean = 0
        self._longest_s = 0.0
        for _ in range(self._wanted):
            life = await self._begin("")
            for _ in range(self._chance.randint(2, 4)):
                self._crowd.ask()
            await until(self._has_news, timeout_s=20)
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            began = time.monotonic()
            life.send(signal.SIGTERM)
            self._slow += not await life.over(timeout_s=GRACE_S + MARGIN_S)
            self._longest_s = max(self._longest_s, time.monotonic() - began)
            await life.kill()
            self._unclean += await life.status() != 0

    def _figures(self, judged: Judgement, *, seconds: float) -> dict[str, object]:
        figures = super()._figures(judged, seconds=seconds)
        del figures["kills"], figures["failpoints"], figures["database_strikes"]
        own = {"stops": self._wanted, "slow": self._slow, "unclean": self._unclean}
        return own | {"longest_s": round(self._longest_s, 1)} | figures


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
