"""The examples in the documentation, run as they are written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parent
MY_BOT = """
import sys
sys.path.insert(0, {here!r})
from sample_bot import SampleBot as build_bot
"""


def example(page: str, chapter: str) -> str:
    """Return the first Python example of a chapter."""
    text = (PROJECT / page).read_text(encoding="utf-8").partition(f"# {chapter}\n")[2]
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]


def run(*command: str, folder: Path) -> str:
    """Return what a command prints in a folder that has a `my_bot.py`."""
    (folder / "my_bot.py").write_text(MY_BOT.format(here=str(HERE)), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, env=environment)
    return done.stdout + done.stderr


def test_the_fixture_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(example("docs/testing.md", "In tests"), encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n", encoding="utf-8")
    told = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py", folder=tmp_path)
    assert "1 passed" in told, told


def test_the_short_example_runs_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(example("README.md", "Use it in a test"), encoding="utf-8")
    told = run("-W", "ignore", "example.py", folder=tmp_path)
    assert "hello" in told.splitlines(), told
