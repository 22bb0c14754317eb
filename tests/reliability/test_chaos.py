"""`chaos` in short: every failpoint is hit, nothing is lost. Its control is in `test_chaos_control.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench._lives import CannotStartError
from generation.failpoints import NAMES
from tests.reliability.chaos import TO_BE_ZERO, Chaos

MOST_IN_A_COMMIT = 4
"""Hand-outs of a batch share a commit; a kill between that and their count leaves all of them uncounted."""


async def test_killed_at_every_failpoint_nothing_is_lost_doubled_or_charged_twice(tmp_path: Path) -> None:
    figures = await Chaos(tmp_path, kills=20, seed=6).run()
    assert figures["jobs"]
    assert {name: figures[name] for name in TO_BE_ZERO} == dict.fromkeys(TO_BE_ZERO, 0), figures
    counted, uncounted, kills = figures["counted"], figures["uncounted"], figures["kills"]
    assert isinstance(counted, dict) and isinstance(uncounted, dict) and isinstance(kills, int)
    assert counted["jobs"], "the counters of lives that were killed are there"
    handed_out = uncounted.get("started", 0)
    assert handed_out <= kills * MOST_IN_A_COMMIT and sum(uncounted.values()) - handed_out <= kills, figures
    assert all(counted[name] > number for name, number in uncounted.items()), figures
    strikes = figures["failpoints"]
    assert isinstance(strikes, dict)
    assert [name for name in NAMES if not strikes[name]] == []


class Unfit(Chaos):
    """Its bots have a setting that there is not."""

    def _environment(self, failpoint: str) -> dict[str, str]:
        return super()._environment(failpoint) | {"ATELIER_UNHEARD_OF": "1"}


async def test_a_bot_that_cannot_start_ends_the_run_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(CannotStartError, match="ATELIER_UNHEARD_OF"):
        await Unfit(tmp_path, kills=1, seed=6).run()
