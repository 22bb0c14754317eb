"""The workflows' steps and the shell scripts are linted. See also `test_contributing.py`."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.y*ml"))
SCRIPTS = sorted(
    each
    for folder in (ROOT, ROOT / ".ci", ROOT / "deploy", ROOT / "tools")
    for each in folder.iterdir()
    if each.is_file() and re.match(rb"#!.*\b(ba)?sh\b", each.read_bytes()[:40])
)
SHELLCHECK = shutil.which("shellcheck", path=Path(sys.executable).parent) or shutil.which("shellcheck")
ACTIONLINT = shutil.which("actionlint")
_EXPRESSION = re.compile(r"\$\{\{.*?\}\}")


def read(workflow: Path) -> dict[Any, Any]:
    return yaml.safe_load(workflow.read_text(encoding="utf-8"))


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for workflow in WORKFLOWS:
        for job, said in read(workflow)["jobs"].items():
            for number, step in enumerate(said.get("steps", ())):
                yield f"{workflow.stem}-{job}-{number}", step


@pytest.mark.skipif(SHELLCHECK is None, reason="there is no shellcheck")
def test_shellcheck_finds_nothing_in_any_step_or_script(tmp_path: Path) -> None:
    files = []
    for name, step in steps():
        if "run" in step:
            file = tmp_path / f"{name}.sh"
            file.write_text("#!/bin/bash -e\n" + _EXPRESSION.sub("value", step["run"]), encoding="utf-8")
            files.append(file)
    assert len(files) > 5 and len(SCRIPTS) >= 3
    done = subprocess.run([SHELLCHECK, *files, *SCRIPTS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(ACTIONLINT is None, reason="there is no actionlint")
def test_actionlint_finds_nothing() -> None:
    done = subprocess.run([ACTIONLINT, *WORKFLOWS], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_step_takes_no_words_of_strangers_as_code() -> None:
    for name, step in steps():
        strange = re.findall(r"\$\{\{\s*(github\.(?:event|head_ref)\S*|inputs\S*)", step.get("run", ""))
        assert not strange, f"{name}: hand it over in `env`"
    assert all("pull_request_target" not in read(each)[True] for each in WORKFLOWS), (
        "it runs a stranger's code with rights"
    )


def test_every_script_that_a_step_names_is_there() -> None:
    named = {each for _, step in steps() for each in re.findall(r"(?:\.ci|deploy|tools)/[\w.-]+", step.get("run", ""))}
    assert named and all((ROOT / each).exists() for each in named)
    assert all(each.stat().st_mode & 0o111 for each in SCRIPTS)
