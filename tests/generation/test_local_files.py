"""Files that a user names: an error is reported before any work is done."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from generation.local_files import FileUnusableError, read_file, require_writable
from generation.models.json_file import read_json


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_settings_of_a_model_are_read_in_the_encoding_their_editor_chose(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(json.dumps({"name": "grün"}, ensure_ascii=False).encode(encoding))
    assert read_json(file) == {"name": "grün"}


def test_a_file_to_write_is_looked_for_without_leaving_anything(tmp_path: Path) -> None:
    require_writable(tmp_path / "a.png")
    (tmp_path / "old.png").write_bytes(b"old")
    require_writable(tmp_path / "old.png")
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("old.png", b"old")]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is a folder"),
        ("gone/a.png", "in a folder that is not there"),
        ("old.png/a.png", "folder that is not there"),
    ],
)
def test_an_unwritable_file_is_refused_with_the_reason(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "old.png").touch()
    with pytest.raises(FileUnusableError, match=says):
        require_writable(tmp_path / name)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="everything may be written by this user")
def test_an_unwritable_folder_is_refused_with_the_reason(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FileUnusableError, match="may not be used by this user"):
        require_writable(tmp_path / "a.png")


def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    assert read_file(tmp_path / "file", max_bytes=100) == b"x" * 100
    with pytest.raises(FileUnusableError, match="is larger than"):
        read_file(tmp_path / "file", max_bytes=99)
    with pytest.raises(FileUnusableError, match="not a name that a file can have"):
        read_file(tmp_path / "a\0b", max_bytes=99)
