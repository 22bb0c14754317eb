"""The shell completes names and choices. It loads neither torch nor the commands, and never fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REGISTER = """{"entries": [
 {"name": "harbour", "kind": "model", "path": "x", "files": {}},
 {"name": "soft", "kind": "vae", "path": "y", "files": {}}
]}"""
CODE = """
import sys
sys.argv = ["atelier"]
from cli.app import app
try:
    app(prog_name="atelier")
finally:
    print("loaded:", *sorted({"torch", "discord", "sqlalchemy", "rich"} & sys.modules.keys()), file=sys.stderr)
"""


def complete(*words: str, **environment: str) -> list[str]:
    """Return what bash offers for the last of these words."""
    asked = {"_ATELIER_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env=clean | asked | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "loaded:\n"
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def test_names_are_those_of_the_models_folder(tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text(REGISTER)
    offered = complete("atelier", "imagine", "x", "--model", "", ATELIER_MODELS_DIR=str(tmp_path))
    assert offered == ["paintbox", "harbour"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("models", "remove", "s"), []),
        pytest.param(("models", "add", "x", "--storage", "f"), ["fp8"], marks=pytest.mark.long),
        pytest.param(("mod",), ["models"], marks=pytest.mark.long),
    ],
)
def test_a_broken_register_is_no_error_at_a_prompt(words: tuple[str, ...], offered: list[str], tmp_path: Path) -> None:
    (tmp_path / "models.json").write_text("{")
    assert complete("atelier", *words, ATELIER_MODELS_DIR=str(tmp_path)) == offered
