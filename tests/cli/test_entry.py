"""A worker's process begins before all else, where a command surely paints, and ends where the settings have none."""

from __future__ import annotations

import subprocess
import sys
from contextvars import copy_context
from pathlib import Path

import pytest

from cli import entry, execution
from generation.workers import early_start
from tests.cli.shell import as_at_a_start

ROOT = Path(__file__).resolve().parents[2]
WAITING = "import sys; sys.stdin.read()"


@pytest.mark.parametrize(
    "words",
    ["serve", "--home /srv serve", "imagine red --out a.png", "replay a.png", "api --port 8080"],
)
def test_commands_that_paint(words: str) -> None:
    assert entry.will_paint(words.split())


@pytest.mark.parametrize(
    "words",
    ["", "--version", "--help", "serve --wait", "serve --help", "--home", "--home serve", "models list", "x serve"],
)
def test_other_commands(words: str) -> None:
    assert not entry.will_paint(words.split())


def _load(home: Path) -> None:
    execution.chosen_home.set(home)
    execution.load_settings(starts_worker=True)


def test_the_worker_starts_before_the_rest_is_imported() -> None:
    code = """
import sys
from generation.workers import early_start
early_start.build_command = lambda: print("began:", *sorted({"typer", "pydantic"} & sys.modules.keys())) or ["false"]
from cli.entry import run
sys.argv = ["atelier", "serve", "--nonsense"]
run()
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "began:\n" and done.returncode == 2 and "--nonsense" in done.stderr


@pytest.mark.parametrize("devices, is_kept", [("", True), ("none", False)])
def test_it_ends_where_the_settings_have_no_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, devices: str, is_kept: bool
) -> None:
    monkeypatch.setenv("ATELIER_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ATELIER_DEVICES", devices)
    monkeypatch.setattr(early_start, "build_command", lambda: [sys.executable, "-c", WAITING])
    monkeypatch.setattr(early_start, "_started", [])
    early_start.start_early()
    (process,) = early_start._started
    with as_at_a_start():
        copy_context().run(_load, tmp_path)
    assert (process.poll() is None) is is_kept
    assert early_start._started == ([process] if is_kept else [])
    early_start.end_early()
