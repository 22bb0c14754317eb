"""One bot owns a data folder: an exclusive lock the operating system drops when its holder dies, however it dies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

from generation.errors import Misconfigured

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = "atelier.lock"


class FolderInUse(Misconfigured):
    """{problem} {remedy}"""


class FolderLock:
    """Held from `reserve` to `release`. Children do not inherit it: Python's files close on exec."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file: IO[str] | None = None

    def reserve(self) -> None:
        """Take the lock, or raise `FolderInUse` at once if another process (or this one) has it."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            _lock(file)
        except OSError:
            file.close()
            raise FolderInUse(
                problem=f"Another Atelier is using the data folder {self._path.parent}.",
                remedy="Stop it first, or set ATELIER_DATA_DIR to another folder.",
            ) from None
        self._file = file

    def release(self) -> None:
        """Give the lock back. Safe to call twice. The file stays: without it two could lock two files."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _lock(file: IO[str]) -> None:
    if sys.platform == "win32":
        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
