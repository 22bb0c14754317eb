"""`bench accepts`, small: both databases in one run, and the figures it computes."""

from __future__ import annotations

import pytest

from bench.accepts import measure


@pytest.mark.long
async def test_both_databases_are_measured_in_one_run() -> None:
    figures = await measure(20, 2)
    for name in ("sqlite", "postgresql"):
        assert 0 < figures[f"{name}_accept_p50_ms"] <= figures[f"{name}_accept_p99_ms"]
        assert figures[f"{name}_accepts_per_s"] > 0 < figures[f"{name}_claims_per_s"]
    assert figures["cpu_ratio"] == pytest.approx(
        figures["postgresql_accept_cpu_ms"] / figures["sqlite_accept_cpu_ms"], rel=0.05
    )
