"""What a form was opened for outlives a restart, for a day, and no more than so many."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogs import held
from cogs.form import Attached
from cogs.held import KEPT_S, MAX_HELD, Held
from generation.errors import InvalidRequest

PHOTO = Attached("https://cdn.example/photo.png", 1000, "photo.png", (300, 200))


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_it_is_there_for_a_day_whoever_looks(tmp_path: Path) -> None:
    clock = Clock()
    key = Held(tmp_path / "forms", clock=clock).put(PHOTO)
    another = Held(tmp_path / "forms", clock=clock)
    assert another.get(key) == PHOTO
    clock.now_s += KEPT_S
    with pytest.raises(InvalidRequest, match="too long ago"):
        another.get(key)
    another.put(PHOTO)
    assert len(list((tmp_path / "forms").iterdir())) == 1, "what is too old is gone from disk"


@pytest.mark.parametrize("key", ["", "0" * 10, "../../etc/passwd", "0123456789.json"])
def test_what_nobody_put_there_is_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(InvalidRequest, match="too long ago"):
        Held(tmp_path).get(key)


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    key = Held(tmp_path).put(PHOTO)
    (tmp_path / f"{key}.json").write_bytes(b"{")
    with pytest.raises(InvalidRequest):
        Held(tmp_path).get(key)


def test_there_are_never_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "MAX_HELD", 3)
    clock = Clock()
    store = Held(tmp_path, clock=clock)
    keys = []
    for _ in range(5):
        clock.now_s += 1
        keys.append(store.put(PHOTO))
    assert len(list(tmp_path.iterdir())) == 3
    assert store.get(keys[-1]) == PHOTO
    assert MAX_HELD > 3
