"""The cost of counting is measured of what is really counted."""

from __future__ import annotations

import json

import pytest

from bench import metrics as program
from generation.metrics import REGISTRY


def test_it_counts_pictures_and_prints_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "ROUNDS", 1)
    ended = REGISTRY.get_sample_value("atelier_images_ended_total", {"outcome": "done"}) or 0
    assert program.main(["--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert REGISTRY.get_sample_value("atelier_images_ended_total", {"outcome": "done"}) == ended + 500
    assert figures.keys() == {"picture_us", "scrape_ms", "scrape_bytes", "lag_sample_us", "load"}
    assert all(value >= 0 for value in figures.values()) and figures["scrape_bytes"] > 1000
