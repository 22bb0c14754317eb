"""The programs that measure the engine, run small: that they run, and that what they print is what is read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bench import exact, memory, throughput

pytestmark = pytest.mark.timeout(600)


def printed(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return report


def test_exact_counts_no_difference_and_its_control_counts_some(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--json", "--shape", "tiny", "--interleavings", "2", "--threads", "1", "--dtype", "float32", "bfloat16"]
    assert exact.main(words) == 0
    report = printed(capsys)
    assert report["images"] >= 2 * 2 * 5
    assert report["differing"] == 0
    assert report["control_differing"] > 0
    assert report["dtype"] == "float32, bfloat16"
    assert report["by_dtype"]["bfloat16"]["images"] == report["images"] / 2


def test_throughput_says_every_ratio_and_where_the_time_went(capsys: pytest.CaptureFixture[str]) -> None:
    words = "--json --shape tiny --side 64 --users 2 --requests 1 --rounds 1 --threads 1 --max-rows 4 --profile"
    assert throughput.main([*words.split(), "--dtype", "float32"]) == 0
    report = printed(capsys)
    wanted = ("ratio_serial", "ratio_batched", "ratio_possible", "images_per_s", "p95_s", "p95_s_serial", "padding")
    assert all(report[name] >= 0 for name in wanted)
    assert sum(report["profile"].values()) == pytest.approx(1, abs=0.01)
    assert report["profile"]["forward"] > 0.1


def test_memory_is_measured_in_a_mode(capsys: pytest.CaptureFixture[str]) -> None:
    assert memory.main(["--mode", "sliced", "--together", "1", "--side", "64", "--dtype", "float32"]) == 0
    report = printed(capsys)
    assert (report["mode"], report["together"], report["side_px"]) == ("sliced", 1, 64)
    assert report["peak_mb"] > report["weights_mb"] > 0
