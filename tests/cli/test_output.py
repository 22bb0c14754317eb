"""Every command that prints facts prints them as one JSON document too; results and all else do not mix."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from safetensors.numpy import save_file
from typer.testing import CliRunner, Result

from cli import app as commands
from cli import doctor, workers
from generation.workers.frames import WorkerConfig
from tests.cli.failing_engine import ENGINE

NO_FACTS = {"api", "serve", "sandbox", "setup", "fleet head", "fleet join"}
"""They run until they are stopped, or ask."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, with a light engine."""
    monkeypatch.setattr(workers, "WorkerConfig", partial(WorkerConfig, engine=ENGINE))
    monkeypatch.setenv("ATELIER_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(commands.app, list(words))


def walk(group: Any, *names: str) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from walk(command, *names, name)
        else:
            yield " ".join((*names, name)), command


def read(result: Result) -> Any:
    """Return the one document on standard output."""
    found = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    return found


def test_every_command_that_prints_facts_has_json() -> None:
    found = dict(walk(typer.main.get_command(commands.app)))
    lacking = {name for name, command in found.items() if not any("--json" in each.opts for each in command.params)}
    assert lacking == NO_FACTS & found.keys()


def test_facts_of_an_empty_home_are_one_document_each(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "CHECKS", doctor.AT_START)  # to look at the card takes torch
    assert read(run("weight", "5", "2", "--json")) == {"guild_id": "5", "weight": 2.0}
    assert read(run("boost", "5", "77", "3", "--json")) == {"guild_id": "5", "role_id": "77", "boost": 3.0}
    books = {"is_exact": True, "number": 0, "is_repaired": False, "differences": []}
    assert read(run("quota", "reconcile", "--json")) == books
    copied = read(run("backup", "copy.db", "--json"))
    assert copied["file"] == "copy.db" and copied["bytes"] == (folder / "copy.db").stat().st_size
    restored = read(run("restore", "copy.db", "--json"))
    assert restored["kept"].endswith("atelier.db.before-restore") and Path(restored["kept"]).exists()
    assert read(run("export", "5", "out", "--json")) == {"files": ["out/my-data.json"]}
    assert read(run("token", "create", "--name", "mine", "--json"))["key"]
    assert [each["name"] for each in read(run("token", "list", "--json"))] == ["mine"]
    checks = read(run("doctor", "--json"))
    assert not checks["is_startable"] and {each["name"] for each in checks["checks"]} >= {"Database", "Discord"}


def test_facts_of_models(folder: Path) -> None:
    save_file({"emb_params": np.ones((2, 768), np.float32)}, folder / "soft.safetensors")
    added = run("models", "add", "soft.safetensors", "--json")
    assert read(added)["kind"] == "embedding" and list(read(added)["files"]) == ["."]
    assert "reading every number" in added.stderr and "reading" not in run("models", "list").stdout
    listed = read(run("models", "list", "--json"))
    assert [(each["kind"], each["name"]) for each in listed] == [
        ("model", "paintbox"),
        ("lora", "neon"),
        ("embedding", "soft"),
    ]
    assert read(run("models", "verify", "--json")) == [{"name": "soft", "problem": ""}]
    scanned = read(run("models", "scan", ".", "--json"))
    assert scanned == {"added": {}, "num_known": 1, "left_out": {}}
    assert read(run("models", "remove", "soft", "--json"))["kind"] == "embedding"


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (1, ("weight", "5", "0")),
        pytest.param(1, ("imagine", " ", "--out", "x.png"), marks=pytest.mark.long),
        (1, ("replay", "missing.png")),
        (1, ("verify", "missing.png")),
        (2, ("models", "set", "paintbox", "--steps", "4")),
        (2, ("models", "remove", "missing")),
        (2, ("restore", "missing.db")),
        (2, ("database", "move")),
        (2, ("fleet", "status")),
        (2, ("fleet", "drain", "den-0")),
    ],
)
def test_an_error_is_a_document_too_and_a_sentence_on_standard_error(status: int, words: tuple[str, ...]) -> None:
    failed = run(*words, "--json")
    said = read(failed)["error"]
    assert (failed.exit_code, failed.stderr) == (status, f"atelier: {said['message']}\n")
    assert run(*words).stdout == ""


def test_pictures_that_were_made_are_kept_and_the_others_have_a_reason(folder: Path) -> None:
    prompt = "a {star|withhold-image|too-large}"
    made = run("imagine", prompt, "--count", "4", "--seed", "0", "--out", "x.png", "--json")
    found = read(made)
    assert made.exit_code == 1
    reasons = {each["error"]["code"]: each["error"]["message"] for each in found["missing"]}
    assert reasons == {
        "Withheld": "Kept back by the safety checker. It costs nothing.",
        "OutOfMemory": "There is not enough memory for that. Try a smaller size. It costs nothing.",
    }
    assert found["pictures"] and {each["file"] for each in found["pictures"]} == set(map(str, Path().glob("x-*.png")))
    for each in found["missing"]:
        assert f"atelier: Picture {each['number']} is missing. {each['error']['message']}\n" in made.stderr


@pytest.mark.long
def test_a_lone_picture_that_was_not_made_has_a_reason(folder: Path) -> None:
    failed = run("imagine", "withhold-image", "--out", "x.png")
    says = "atelier: Kept back by the safety checker. It costs nothing.\n"
    assert (failed.exit_code, failed.stdout, failed.stderr) == (1, "", says)
    assert not (folder / "x.png").exists()
