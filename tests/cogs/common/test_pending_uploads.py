"""The source of a form survives a restart, for a day; it belongs to one member, who can drop only their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogs.common import pending_uploads
from cogs.common.errors import ExpiredFormError
from cogs.common.forms import Attached
from cogs.common.pending_uploads import KEPT_S, MAX_OF_MEMBER, PendingUploads
from generation.errors import InvalidRequestError
from generation.owner import Owner

PHOTO = Attached("https://cdn.example/photo.png", 1000, "photo.png", (300, 200))
ADA, BO, ADA_ELSEWHERE = Owner(1, 7_000_000_000_000_001), Owner(1, 8), Owner(2, 7_000_000_000_000_001)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def is_there(store: PendingUploads, key: str, owner: Owner) -> bool:
    try:
        return store.get(key, owner) == PHOTO
    except InvalidRequestError:
        return False


def forms(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("*.json")]


def test_it_is_there_for_a_day_also_after_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    key = PendingUploads(tmp_path / "forms", clock=clock).put(PHOTO, ADA)
    another = PendingUploads(tmp_path / "forms", clock=clock)
    assert another.get(key, ADA) == PHOTO
    clock.now_s += KEPT_S
    with pytest.raises(ExpiredFormError):
        another.get(key, ADA)
    another.put(PHOTO, BO)
    assert len(forms(tmp_path / "forms")) == 1, "what is too old is gone from disk"


def test_it_belongs_to_one_member_in_one_server(tmp_path: Path) -> None:
    store = PendingUploads(tmp_path)
    key = store.put(PHOTO, ADA)
    assert [is_there(store, key, owner) for owner in (ADA, BO, ADA_ELSEWHERE)] == [True, False, False]


@pytest.mark.parametrize("key", ["", "0" * 10, "../../etc/passwd", "0123456789.json", "*", "0" * 10 + ".json"])
def test_an_unknown_pending_upload_is_refused(tmp_path: Path, key: str) -> None:
    store = PendingUploads(tmp_path)
    store.put(PHOTO, ADA)
    with pytest.raises(ExpiredFormError):
        store.get(key, ADA)


def test_a_damaged_file_is_as_good_as_none(tmp_path: Path) -> None:
    store = PendingUploads(tmp_path)
    key = store.put(PHOTO, ADA)
    (tmp_path / forms(tmp_path)[0]).write_bytes(b"{")
    assert not is_there(store, key, ADA)
    (tmp_path / "secret").write_bytes(b"")
    assert is_there(store, store.put(PHOTO, ADA), ADA), "and what was cut off in the middle is made again"


def test_many_pending_uploads_drop_only_the_members_own_oldest(tmp_path: Path) -> None:
    clock = Clock()
    store = PendingUploads(tmp_path, clock=clock)
    others = [(store.put(PHOTO, owner), owner) for owner in (BO, ADA_ELSEWHERE, Owner(2, 9))]
    keys = []
    for _ in range(501):
        clock.now_s += 1
        keys.append(store.put(PHOTO, ADA))
    assert all(is_there(store, key, owner) for key, owner in others)
    assert [is_there(store, key, ADA) for key in keys[-MAX_OF_MEMBER - 1 :]] == [False] + [True] * MAX_OF_MEMBER
    assert len(forms(tmp_path)) == MAX_OF_MEMBER + len(others)


def test_a_full_server_drops_those_of_the_members_with_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_uploads, "MAX_OF_SERVER", 8)
    clock = Clock()
    store = PendingUploads(tmp_path, clock=clock)
    elsewhere = store.put(PHOTO, ADA_ELSEWHERE)
    mine = store.put(PHOTO, ADA)
    for user_id in range(100, 105):
        for _ in range(3):
            clock.now_s += 1
            store.put(PHOTO, Owner(1, user_id))
    assert is_there(store, mine, ADA), "the oldest of all, and the only one of hers"
    assert is_there(store, elsewhere, ADA_ELSEWHERE)
    assert len(forms(tmp_path)) == 8 + 1


def test_a_pending_upload_hides_its_owner_and_is_deleted_on_request(tmp_path: Path) -> None:
    store = PendingUploads(tmp_path)
    keys = {owner: store.put(PHOTO, owner) for owner in (ADA, ADA_ELSEWHERE, BO)}
    everything = "".join(forms(tmp_path)).encode() + b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert str(ADA.user_id).encode() not in everything
    store.forget(ADA.user_id)
    assert [is_there(store, key, owner) for owner, key in keys.items()] == [False, False, True]
