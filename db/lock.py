"""One Atelier owns a data folder and a database: exclusive locks that the operating system drops when the owner dies.

What is shared is what is locked. The folder has a lock file. A SQLite database carries its lock itself, in a byte that
SQLite leaves unused, so that it is the same lock by whatever name the file is reached: a link, a hard link, a relative
path, a mount. A database server has no file: there, the lock belongs to the connection that writes (`db.postgres`).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

from sqlalchemy.engine import URL

from db.address import describe, file_of
from generation.errors import ConfigurationError, NotNowError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_NAME = "atelier.lock"
BESIDE_DATABASE = ".lock"
"""Ends the name of the file beside a database that says who has it."""
_BYTE = 2**30 + 1024
"""SQLite keeps its own locks in the bytes from 2**30 and stores nothing in the rest of that page."""
_HAS_BYTE_LOCKS = sys.platform == "win32" or hasattr(fcntl, "F_OFD_SETLK")
_TAKEN = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
_held: set[tuple[int, int]] = set()
"""Files this process has locked. Opening one of them again and closing it would drop SQLite's own locks on it."""


class FolderInUseError(NotNowError):
    """{problem} {remedy}"""


class FileLock:
    """An exclusive lock on one file, from `reserve` to `release`. Children do not inherit it."""

    what, setting = "file", ""

    def __init__(self, subject: Path, locked: Path, note: Path) -> None:
        self._subject, self._locked, self._note = subject, locked, note
        self._file: BinaryIO | None = None
        self._identity = (0, 0)

    def reserve(self, said: str = "") -> None:
        """Take the lock and note who has it, and `said`. Raise `FolderInUseError` at once if it is taken."""
        if _identity(self._locked) in _held:
            raise self._in_use()
        file = _open(self._locked)
        try:
            _take(file, is_database=self._locked == self._subject)
        except OSError as error:
            file.close()
            raise (self._in_use() if error.errno in _TAKEN else _no_locks(self._locked, error)) from None
        self._file, self._identity = file, _identity(self._locked) or (0, 0)
        _held.add(self._identity)
        with suppress(OSError):  # a help for people, no part of the lock
            _write_note(self._note, said)

    def release(self) -> None:
        """Give the lock back. Safe to call twice. The file stays: without it two could lock two files."""
        if self._file is not None:
            _held.discard(self._identity)
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        self.reserve()
        return self

    def __exit__(self, *_error: object) -> None:
        self.release()

    def holder(self) -> str | None:
        """Return who has the lock, None if it is free. Nothing is created or changed."""
        identity = _identity(self._locked)
        if identity is None or not self._locked.is_file():  # to open a pipe waits for ever
            return None
        if identity not in _held:
            try:
                with self._locked.open("rb") as file:
                    if not _is_taken(file):
                        return None
            except OSError:  # not ours to read: `serve` says so when it opens it
                return None
        return _read_note(self._note)

    def _in_use(self) -> FolderInUseError:
        return in_use(f"the {self.what} {self._subject}", _read_note(self._note), self.setting)


class FolderLock(FileLock):
    """On a data folder, by a file in it."""

    what, setting = "data folder", "ATELIER_DATA_DIR to another folder"

    def __init__(self, folder: Path, name: str = LOCK_NAME) -> None:
        super().__init__(folder, folder / name, folder / name)

    def reserve(self, said: str = "") -> None:
        try:
            self._locked.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_open(self._locked.parent, error) from None
        super().reserve(said)


class ModelsLock(FolderLock):
    """On a folder of models, for as long as its register is changed. A bot reads it at its start only."""

    what, setting = "models folder", "ATELIER_MODELS_DIR to another folder"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "models.lock")


class DatabaseLock(FileLock):
    """On a SQLite file, which is created if there is none."""

    what, setting = "database", "ATELIER_DATABASE_URL to another database"

    def __init__(self, database: Path) -> None:
        file = database.resolve()
        note = file.with_name(f"{file.name}{BESIDE_DATABASE}")
        super().__init__(file, file if _HAS_BYTE_LOCKS else note, note)


def lock_all(data_dir: Path, database: URL) -> ExitStack:
    """Lock a data folder and a SQLite database, or neither. Close what is returned when both are closed.

    The lock of a database on a server is the writing connection's, so that both end together (`db.postgres`).
    """
    with ExitStack() as stack:
        folder = FolderLock(data_dir)
        folder.reserve(f"with {describe(database)}")
        stack.callback(folder.release)
        if (file := file_of(database)) is not None:
            shared = DatabaseLock(file)
            shared.reserve(f"with the data folder {data_dir.resolve()}")
            stack.callback(shared.release)
        return stack.pop_all()


def in_use(what: str, holder: str, setting: str) -> FolderInUseError:
    return FolderInUseError(
        problem=f"Another Atelier is using {what}{f' ({holder})' if holder else ''}.",
        remedy=f"Stop it first, or set {setting}.",
    )


def cannot_open(path: Path, error: OSError) -> ConfigurationError:
    """Return what to tell where a file or folder of Atelier's cannot be opened for writing."""
    remedy = "Give it to the user who runs Atelier, or set ATELIER_DATA_DIR to another folder."
    return ConfigurationError(problem=f"{path} cannot be written ({error.strerror or error}).", remedy=remedy)


def _no_locks(path: Path, error: OSError) -> ConfigurationError:
    problem = f"{path} cannot be locked ({error.strerror or error}), and two bots on it would damage it."
    return ConfigurationError(problem=problem, remedy="Put it on a disk of this machine.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _open(path: Path) -> BinaryIO:
    try:
        return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600), "r+b")
    except OSError as error:
        raise cannot_open(path, error) from None


def _take(file: BinaryIO, *, is_database: bool) -> None:
    """Lock the byte, and a lock file as a whole too, as earlier releases do. Raise `OSError` if another has it."""
    if sys.platform == "win32":
        file.seek(_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        return
    if not is_database:  # SQLite's locks and `flock` are the same on some systems
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    if _HAS_BYTE_LOCKS:
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, _byte_range())


def _is_taken(file: BinaryIO) -> bool:
    """Ask; nothing is locked by it, where the system can say so."""
    if sys.platform != "win32" and _HAS_BYTE_LOCKS:
        asked = fcntl.fcntl(file, fcntl.F_OFD_GETLK, _byte_range())
        return _kind_of(asked) != fcntl.F_UNLCK
    try:
        if sys.platform == "win32":
            file.seek(_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            file.seek(_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


_LAYOUT = "qqihh" if sys.platform == "darwin" else "hhqqi4x"


def _byte_range() -> bytes:
    """Return C's `struct flock` for one byte, to be written."""
    kind, whence, start, length, pid = fcntl.F_WRLCK, os.SEEK_SET, _BYTE, 1, 0
    if sys.platform == "darwin":
        return struct.pack(_LAYOUT, start, length, pid, kind, whence)
    return struct.pack(_LAYOUT, kind, whence, start, length, pid)


def _kind_of(found: bytes) -> int:
    return int(struct.unpack(_LAYOUT, found)[3 if sys.platform == "darwin" else 0])


def _write_note(path: Path, said: str) -> None:
    now = datetime.now(UTC)
    who = f"process {os.getpid()} on {socket.gethostname()}, since {now:%Y-%m-%d %H:%M} UTC"
    path.touch(mode=0o600)
    path.write_text(f"{who}, {said}\n" if said else f"{who}\n", encoding="utf-8")


def _read_note(path: Path) -> str:
    """Return who took the lock; empty where that cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()[:300]
    except OSError:
        return ""
