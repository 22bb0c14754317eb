"""`chaos` in short: every failpoint is hit, nothing is lost. Its control is in `test_chaos_control.py`."""

from __future__ import annotations

from pathlib import Path

from generation.failpoints import NAMES
from tests.reliability.chaos import TO_BE_ZERO, Chaos


async def test_killed_at_every_failpoint_nothing_is_lost_doubled_or_charged_twice(tmp_path: Path) -> None:
    figures = await Chaos(tmp_path, kills=24, seed=6).run()
    assert figures["jobs"]
    assert {name: figures[name] for name in TO_BE_ZERO} == dict.fromkeys(TO_BE_ZERO, 0), figures
    counted, uncounted, kills = figures["counted"], figures["uncounted"], figures["kills"]
    assert isinstance(counted, dict) and isinstance(uncounted, dict) and isinstance(kills, int)
    assert counted["jobs"], "the counters of lives that were killed are there"
    assert sum(uncounted.values()) <= kills, figures
    strikes = figures["failpoints"]
    assert isinstance(strikes, dict)
    assert [name for name in NAMES if not strikes[name]] == []
