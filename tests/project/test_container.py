"""The image and the containers have few rights: more rights need a change here."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
STAGES = {
    name: text
    for text, name in ((each, re.match(r"\S+ AS (\S+)", each)[1]) for each in DOCKERFILE.split("\nFROM ")[1:])
}
FINAL = ("cpu", "cuda")


@pytest.mark.skipif(shutil.which("hadolint", path=Path(sys.executable).parent) is None, reason="hadolint is for Linux")
def test_hadolint_finds_nothing() -> None:
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", FINAL)
def test_it_runs_as_an_ordinary_user_without_write_access_to_its_code(name: str) -> None:
    stage = STAGES[name]
    assert stage.startswith("runtime AS "), "with its user, its labels and its health check"
    assert re.findall(r"^USER (\S+)", stage, re.M) == ["10001:10001"], "a number, as Kubernetes wants it"
    assert stage.index("pip install") < stage.index("USER"), "the program cannot change itself"
    assert "useradd --uid 10001" in STAGES["runtime"] and "HEALTHCHECK" in STAGES["runtime"]


def test_libraries_come_before_the_source_and_the_code_is_there_once() -> None:
    """A change of the program leaves all layers but the last as they are, and nothing but its wheels comes of it."""
    assert re.findall(r"^COPY (\S+) \.", STAGES["wheels"], re.M) == ["."]
    for name, stage in STAGES.items():
        copied = re.findall(r"^COPY (.+)$", stage, re.M)
        assert name == "wheels" or all(re.search(r"\.lock|constraints|^--from=libraries-", each) for each in copied)
    for name in FINAL:
        assert re.findall(r"^COPY (.+)$", STAGES[name], re.M) == [f"--from=libraries-{name} /venv /venv"]
        assert STAGES[name].index("COPY") < STAGES[name].index("from=wheels")
        assert "--no-deps --no-index" in STAGES[name] and "--compile" in STAGES[name]


def test_libraries_are_installed_by_their_hashes() -> None:
    assert "--require-hashes -r requirements.lock -r requirements-extras.lock" in STAGES["libraries"]
    assert "--require-hashes -r requirements-cuda.lock" in STAGES["libraries-cuda"]
    installs = re.findall(r"pip install[^&]*?(?:\n\n|\n[A-Z]|$)", DOCKERFILE)
    free = [each for each in installs if "--require-hashes" not in each and "--no-index" not in each]
    assert len(free) == 1 and "torch==" in free[0] and "--no-deps" in free[0], "but torch for processors"


def test_it_starts_from_the_same_bytes_every_time() -> None:
    [base] = re.findall(r"^ARG BASE=(\S+)$", DOCKERFILE, re.M)
    assert re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", base)
    sources = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    assert sources <= {"${BASE}", *STAGES}


def test_no_secret_and_no_data_is_built_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".*", "data", "sandbox-data", "models", "secrets"} <= set(ignored)
    assert not re.search(r"(TOKEN|SECRET|PASSWORD)=", DOCKERFILE)


def test_all_that_is_written_lies_in_the_data_folder() -> None:
    [settings] = re.findall(r"^ENV PATH=.*?(?=\n[A-Z])", STAGES["runtime"], re.M | re.S)
    folders = dict(each.split("=") for each in settings.replace("\\\n", " ").split()[1:])
    assert {name for name, value in folders.items() if not value.startswith("/data")} == {"PATH", "PYTHONUNBUFFERED"}
    assert {"HOME", "XDG_CACHE_HOME", "HF_HOME", "CUDA_CACHE_PATH", "TRITON_CACHE_DIR"} <= folders.keys()


def test_the_health_check_runs_as_it_stands() -> None:
    """Docker joins its lines; what is left is a JSON list whose last part is a program."""
    [command] = re.findall(r"^HEALTHCHECK .*?CMD (\[.*?\])$", STAGES["runtime"], re.M | re.S)
    program = json.loads(command.replace("\\\n", ""))[-1]
    assert "/healthz" in program
    compile(program, "health check", "exec")
