"""The price of a forward is measured from forwards alone."""

from __future__ import annotations

from generation.scheduling.throughput import Throughput


def test_reports_without_progress_are_no_forward() -> None:
    pace = Throughput()
    for second in range(4):
        pace.progressed("a", 0.0, now_s=float(second))
    assert pace.estimate_forward_s([1.0]) is None
    for second in range(4, 8):
        pace.progressed("a", 2.0, now_s=float(second))
    forward_s = pace.estimate_forward_s([2.0])
    assert forward_s is not None
    assert 0.5 < forward_s < 2.0
