"""The programs that measure a fleet, at small size: that they run, and what they count. Times are not judged."""

from __future__ import annotations

import argparse
import json

import pytest

pytest.importorskip("ray", reason="the extra `fleet` is not installed")

from bench import attach, exact, fleet

pytestmark = pytest.mark.long


async def test_fleet_paints_the_same_here_and_over_ray() -> None:
    figures = await fleet.measure(argparse.Namespace(members=[1], pictures=12, ray=True, json=True))
    assert figures["members"]["1"]["pictures_per_s"] > 0
    assert figures["ray"]["1"]["driver_cpu_ms"] > 0
    assert set(figures["of_local"]["1"]) == {"pictures_per_s", "bot_cpu_ms"}


def test_exact_replays_every_picture_on_every_other_member(capsys: pytest.CaptureFixture[str]) -> None:
    assert exact.main(["--json", "--fleet", "--interleavings", "1", "--threads", "1"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert len(report["images"]) == 3 and report["fingerprints"] == 1
    assert report["replays"] == 2 * sum(report["images"].values())
    assert report["differing"] == 0


def test_exact_has_no_fleet_of_another_model(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        exact.main(["--fleet", "--family", "sd"])
    assert "wants the built-in model" in capsys.readouterr().err


async def test_attach_finds_the_engines_of_the_bot_before() -> None:
    figures = await attach.measure(argparse.Namespace(members=1, restarts=1, json=True))
    assert figures["engines_kept"]
    assert figures["page_s"] <= figures["members_s"]
