"""The container has few rights: more rights need a change here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")


def test_it_runs_as_an_ordinary_user_without_write_access_to_its_code() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (\S+)", last, re.M) == ["atelier"]
    assert "--chown=root:root bot.py" in last, "the program cannot change itself"
    assert last.index("USER atelier") < last.index("ENTRYPOINT")


@pytest.mark.parametrize(
    "line",
    ["read_only: true", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]', "./models:/models:ro"],
)
def test_it_is_given_no_more_than_it_needs(line: str) -> None:
    assert line in COMPOSE


def test_it_is_given_nothing_of_the_host() -> None:
    for word in ("privileged", "cap_add", "network_mode", "docker.sock", "ports:"):
        assert word not in COMPOSE


def test_no_secret_and_no_data_is_built_into_the_image() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".env", "data", "sandbox-data", "models", ".git"} <= set(ignored)
    assert not re.search(r"(TOKEN|SECRET|PASSWORD)=", DOCKERFILE)


def test_it_starts_from_the_same_bytes_every_time() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.M)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert all(re.fullmatch(r"[\w./:-]+@sha256:[0-9a-f]{64}", base) for base in bases)


def test_its_libraries_are_installed_by_their_hashes() -> None:
    assert "--require-hashes -r requirements.lock" in DOCKERFILE
