"""Failpoints kill the process for crash tests: off by default, set by the operator alone, and hit at the given pass."""

from __future__ import annotations

import ast
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from generation import failpoints
from generation.errors import ConfigurationError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def calls(name: str) -> dict[str, list[str]]:
    """Where `name(...)` or `failpoints.name(...)` is called outside tests, with its first argument."""
    found: dict[str, list[str]] = {}
    for path in ROOT.glob("**/*.py"):
        top = path.relative_to(ROOT).parts[0]
        if top not in ("bot.py", "cogs", "db", "generation", "config.py", "cli"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and name in (getattr(node.func, "id", ""), getattr(node.func, "attr", "")):
                argument = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
                found.setdefault(str(path.relative_to(ROOT)), []).append(str(argument))
    return found


def test_every_place_is_passed_once_in_the_code_and_no_other() -> None:
    assert sorted(name for names in calls("reached").values() for name in names) == sorted(failpoints.NAMES)


def test_only_the_start_of_a_process_arms_them() -> None:
    """They come from the operator's environment, or from what the bot passes to its worker, and nothing else."""
    assert set(calls("arm")) == {"cli/execution.py", "generation/workers/child.py"}


def test_unarmed_places_do_nothing() -> None:
    for name in failpoints.NAMES:
        failpoints.reached(name)


def test_the_third_passing_is_the_third() -> None:
    program = (
        "from generation import failpoints as f; f.arm('settled:3');"
        "[print(n, flush=True) or f.reached('settled') or f.reached('posted') for n in (1, 2, 3, 4)]"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.split() == ["1", "2", "3"]
    assert "name=settled" in done.stderr


def test_a_worker_gets_its_places_once() -> None:
    failpoints.arm("posted, checked:2,rendered")
    assert failpoints.take_armed() == "rendered:1,checked:2"
    assert failpoints.take_armed() == ""


@pytest.mark.parametrize("wrong", ["nowhere", "settled:0", "settled:x", "settled:-1", ":"])
def test_a_name_that_does_not_exist_is_refused_with_those_that_do(wrong: str) -> None:
    with pytest.raises(ConfigurationError, match="marked_delivered"):
        failpoints.arm(wrong)
