"""Long work counts as progress, and a worker says that it gets on only while it does."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from generation.models.hashing import digest_file
from generation.progress import advance, measure
from generation.workers import sign_of_life
from generation.workers.sign_of_life import SignOfLife


def test_every_byte_that_is_hashed_is_progress(tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (file := tmp_path / "weights").write_bytes(content)
    before = measure()[0]
    assert digest_file(file) == hashlib.sha256(content).hexdigest()
    assert measure()[0] == before + len(content)


def test_work_that_stands_still_gives_no_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_of_life, "measure", lambda: measure()[0])  # other tests may read from disk meanwhile
    said: list[str] = []
    life = SignOfLife(lambda: said.append("alive"), every_s=0)
    life.look()
    assert not said
    advance()
    life.look()
    life.look()
    assert said == ["alive"]
