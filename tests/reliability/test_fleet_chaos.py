"""What `fleet_chaos` measures with, and the program itself in short."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.reliability.chaos import TO_BE_ZERO
from tests.reliability.fleet.times import LIMITS_S, Times, percentile
from tests.reliability.fleet.trace import Trace

ROOT = Path(__file__).resolve().parents[2]
FIRST, SECOND = 41, 42
"""Process numbers of two lives of a bot."""


class Told:
    """A trace as a bot writes it."""

    def __init__(self, folder: Path) -> None:
        self.trace = Trace(folder / "trace")
        self._at_s = 0.0

    def say(self, what: str, member: str, image_id: str = "", attempt: int = 0, *, life: int = FIRST) -> float:
        self._at_s += 1.0
        with self.trace.path.open("a") as file:
            file.write(json.dumps([self._at_s, life, what, member, image_id, attempt]) + "\n")
        self.trace.read()
        return self._at_s


def test_a_member_is_at_work_when_it_gets_on_with_what_it_holds(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.say("given", "den-0", "a", 1)
    assert not told.trace.at_work("den-0")
    told.say("painted", "den-0", "a", 1)
    assert told.trace.at_work("den-0") == {"a": 1}
    told.say("ended", "den-0", "a")
    assert not told.trace.at_work("den-0")


def test_struck_work_goes_on_with_the_first_step_of_a_later_attempt(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.say("given", "den-0", "a", 1)
    struck_at_s = told.say("painted", "den-0", "a", 1)
    told.say("painted", "den-0", "a", 1)
    told.say("lost", "den-0")
    told.say("ended", "den-0", "a")
    told.say("given", "cpu", "a", 2)
    assert told.trace.find_first({"a": 1}, struck_at_s) is None
    first_s = told.say("painted", "cpu", "a", 2)
    told.say("painted", "cpu", "a", 2)
    assert told.trace.find_first({"a": 1}, struck_at_s) == first_s
    assert told.trace.losses["a"] == 1 and not told.trace.was_spared({"a": 1}, {})


def test_work_that_ends_without_a_loss_was_spared(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.say("given", "den-0", "a", 1)
    assert not told.trace.was_spared({"a": 1}, {})
    told.say("ended", "den-0", "a")
    assert told.trace.was_spared({"a": 1}, {})


def test_what_an_earlier_bot_had_is_no_more(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.say("given", "den-0", "a", 1)
    told.say("painted", "den-0", "a", 1)
    told.say("given", "cpu", "b", 1, life=SECOND)
    assert not told.trace.at_work("den-0") and told.trace.held["cpu"] == {"b": 1}


def test_percentiles_and_kinds_that_took_too_long() -> None:
    assert [percentile(range(1, 101), percent) for percent in (50, 95, 100)] == [50, 95, 100]
    times = Times(slack=2.0)
    times.note("engine", LIMITS_S["engine"] * 2.0)
    assert not times.list_slow()
    times.note("actor", LIMITS_S["actor"] * 2.0 + 0.1)
    assert times.list_slow() == ["actor"]
    assert times.figures()["engine"] == {"timed": 1, "p50_s": 2.0, "p95_s": 2.0}


@pytest.mark.long
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra `fleet` is not installed")
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_strikes_at_a_fleet_lose_nothing(tmp_path: Path, database: str) -> None:
    words = ["--kills", "20", "--seed", "6", "--slack", "100", "--keep", str(tmp_path), "--database", database]
    command = [sys.executable, "-m", "tests.reliability.fleet_chaos", "--json", *words]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if "namespaces" in ran.stderr:
        pytest.skip(ran.stderr.strip())
    figures = json.loads(ran.stdout.splitlines()[-1])
    assert figures["jobs"] and figures["kills"] >= 20
    assert {name: figures[name] for name in (*TO_BE_ZERO, "stuck")} == dict.fromkeys((*TO_BE_ZERO, "stuck"), 0), figures
