"""The control of `chaos`: a bot built the usual way loses jobs. In a file of its own, so that both run in parallel."""

from __future__ import annotations

from pathlib import Path

from tests.reliability.chaos import Chaos


async def test_control_the_naive_bot_loses_duplicates_and_drifts(tmp_path: Path) -> None:
    figures = await Chaos(tmp_path, kills=24, seed=6, is_naive=True).run()
    assert figures["lost"]
    assert figures["duplicates"]
    assert figures["drift"]
