"""Notice that the files of an open database were replaced or deleted: what is written then would be lost."""

from __future__ import annotations

from pathlib import Path

_ENDINGS = ("", "-wal", "-shm")
"""The database, its log, and the index of the log. SQLite keeps all three for as long as it is open."""


class DatabaseLostError(Exception):
    """The database that was opened is not ours to write to any more: nothing is saved."""


class DatabaseReplacedError(DatabaseLostError):
    """The file at the database's path is not the one that is open."""


class FileWatch:
    """Remembers which files make up an open database, by device and inode. Cheap: three calls of `stat`."""

    def __init__(self, database: Path) -> None:
        self._paths = [database.with_name(f"{database.name}{ending}") for ending in _ENDINGS]
        self._known: dict[Path, tuple[int, int]] = {}

    def check(self) -> None:
        """Raise `DatabaseReplacedError` if a file is gone or another. Remember one that is seen for the first time."""
        for path in self._paths:
            found = _identity(path)
            known = self._known.get(path, found)
            if found != known:
                what = "deleted" if found is None else "replaced"
                raise DatabaseReplacedError(f"{path} was {what} while it was in use")
            if found is not None:
                self._known[path] = found

    @property
    def problem(self) -> str | None:
        """What is wrong, as a sentence for the operator; None if all is well."""
        try:
            self.check()
        except DatabaseReplacedError as replaced:
            return f"{replaced}: nothing is saved. Put it back, or stop the bot and restore a backup."
        return None


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
