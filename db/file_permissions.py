"""Keep what is stored to the user who runs the bot: folders 0700, files 0600, also those of an earlier version."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from db.lock import BESIDE_DATABASE, LOCK_NAME

log = logging.getLogger(__name__)
FOLDER, FILE = 0o700, 0o600
_OTHERS = 0o077
_FOLDERS = ("pictures", "forms")
_ENDINGS = ("", BESIDE_DATABASE, "-wal", "-shm", ".before-restore", ".before-restore-wal", ".before-restore-shm")


def make_private(data_dir: Path, database: Path | None) -> None:
    """Take the data folder, the database and what else is Atelier's in it away from other users.

    Pictures are many: they are looked through only while the folder is still open to others. Models are left alone.
    A folder of another user is logged, not refused. Blocks.
    """
    if os.name == "nt":  # Windows keeps no such bits
        return
    was_open = bool(data_dir.stat().st_mode & _OTHERS)
    files = [database.with_name(f"{database.name}{ending}") for ending in _ENDINGS] if database else []
    files += [data_dir / LOCK_NAME, data_dir / "measured.json"]
    if was_open:
        for name in _FOLDERS:
            files += _below(data_dir / name)
    try:
        for path in files:
            _restrict(path)
        if was_open:
            data_dir.chmod(FOLDER)  # last: while it is open, the next start looks through the pictures again
    except OSError as error:
        log.warning("action=folder-not-private folder=%s error=%s", data_dir, error)


def create_private(path: Path) -> None:
    """Create an empty file that only its owner reads."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE))


def _below(folder: Path) -> Iterator[Path]:
    for parent, _folders, names in os.walk(folder):
        yield Path(parent)
        yield from (Path(parent) / name for name in names)


def _restrict(path: Path) -> None:
    """Links are left alone: what they lead to need not be Atelier's."""
    if path.is_symlink() or not path.exists():
        return
    wanted = FOLDER if path.is_dir() else FILE
    if path.stat().st_mode & 0o777 != wanted:
        path.chmod(wanted)
