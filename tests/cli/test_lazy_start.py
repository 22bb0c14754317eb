"""`--version` and `--help` answer at once: they import nothing that only commands need."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from cli.execution import pause_collecting, run_guarded

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {"aiohttp", "alembic", "discord", "huggingface_hub", "numpy", "PIL", "rich", "sqlalchemy", "torch"}


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("--help",),
        ("serve", "--help"),
        ("setup", "--help"),
        ("imagine", "--help"),
        ("models", "add", "--help"),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded(words: tuple[str, ...]) -> None:
    code = f"""
import sys
from cli.app import run
sys.argv = ["atelier", *{words!r}]
try:
    run()
finally:
    loaded = sorted({HEAVY!r} & sys.modules.keys())
    print("loaded:", *loaded, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("Atelier " if words == ("--version",) else "Usage:"), done.stderr
    assert done.stderr == "loaded:\n"


def test_without_a_server_its_driver_is_not_loaded() -> None:
    """It is an extra: a bot with a SQLite file need not have it."""
    code = "import sys, bot, cli.serve; print(sorted({'psycopg', 'asyncpg', 'ray'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_a_command_that_runs_has_its_garbage_collected() -> None:
    pause_collecting()
    assert not gc.isenabled()
    assert run_guarded(gc.isenabled)
