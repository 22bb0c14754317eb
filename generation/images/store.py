"""Content-addressed pictures on disk: the same bytes are kept once, and damage shows."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

PARTS = tuple(f"{number:02x}" for number in range(256))
"""The folder's folders, by the first two digits of the names in them."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9a-f]{64}\.png")
_UNFINISHED = re.compile(r"tmp[a-z0-9_]{8}")  # as `tempfile` calls them


@dataclass(eq=False, slots=True)
class PendingFile:
    """A file put for requests that may yet be refused. It stays once one of them is accepted, or another puts it."""

    sha256: str
    holders: int = 1
    is_kept: bool = False


class ImageFiles:
    """Content-addressed files under one folder. Blocking: callers run these methods off the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._touching = threading.Lock()
        self._loans: dict[str, PendingFile] = {}
        self.num_bytes_put = 0
        """Of new files since the start: what tells the sweep that it is due."""
        self._unfinished: set[Path] = set()

    @property
    def folder(self) -> Path:
        """Where they lie."""
        return self._folder

    def put(self, data: bytes) -> str:
        """Keep `data` and return its SHA-256. On disk when this returns: synced, then renamed into place.

        What lies there already counts as put now: `remove_untouched` leaves it alone.
        """
        return self._put(data, is_lent=False).sha256

    def lend(self, data: bytes) -> PendingFile:
        """Put `data` for a request that may yet be refused: `end_loan` says what became of it."""
        return self._put(data, is_lent=True)

    def end_loan(self, loan: PendingFile, *, is_kept: bool) -> None:
        """Remove the file of a refused request, unless it lay there before or is needed otherwise."""
        with self._touching:
            loan.is_kept |= is_kept
            loan.holders -= 1
            if loan.holders:
                return
            if self._loans.get(loan.sha256) is loan:
                del self._loans[loan.sha256]
            if not loan.is_kept:
                self._unlink(loan.sha256)

    def _put(self, data: bytes, *, is_lent: bool) -> PendingFile:
        sha256 = hashlib.sha256(data).hexdigest()
        target = self._path(sha256)
        with self._touching:
            found = self._track_loan(sha256, is_lent=is_lent, is_new=False) if self._touch(target) else None
        if found is not None and self.get(sha256) is not None:  # one that is damaged is written again
            return found
        with self._written(data, target.parent) as temporary, self._touching:
            is_new = not target.exists()
            temporary.replace(target)
            self.num_bytes_put += len(data) * is_new
            return found or self._track_loan(sha256, is_lent=is_lent, is_new=is_new)

    def _track_loan(self, sha256: str, *, is_lent: bool, is_new: bool) -> PendingFile:
        """Return the loan of a file that was put: that of others, or a new one. One that lay there before is kept."""
        loan = self._loans.get(sha256)
        if loan is None:
            loan = PendingFile(sha256, is_kept=not (is_lent and is_new))
            if is_lent:
                self._loans[sha256] = loan
        elif is_lent:
            loan.holders += 1
        else:
            loan.is_kept = True
        return loan

    @contextmanager
    def _written(self, data: bytes, folder: Path) -> Iterator[Path]:
        """Write a file under a name of its own, synced, and yield its path. Remove it unless it is moved away."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        handle, temporary = self._begin(folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)
            self._unfinished.discard(temporary)

    def get(self, sha256: str) -> bytes | None:
        """Return the file of that name, or None if it is missing or damaged."""
        try:
            data = self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def remove(self, sha256: str) -> bool:
        """Remove a file that no row names any more; return whether there was one.

        What is lent is needed by a request that may yet be accepted: it goes if that is refused.
        """
        with self._touching:
            if (loan := self._loans.get(sha256)) is not None:
                loan.is_kept = False
                return True
            return self._unlink(sha256)

    def _unlink(self, sha256: str) -> bool:
        """Remove a file, while `_touching` is held; return whether there was one."""
        try:
            self._path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def names(self, part: str) -> list[str]:
        """Return the SHA-256 of every file in this part (one of `PARTS`)."""
        folder = self._folder / part
        return [path.stem for path in (folder.iterdir() if folder.is_dir() else ()) if _NAME.fullmatch(path.name)]

    def untouched(self, part: str, *, since: datetime, until: datetime) -> list[str]:
        """Return the SHA-256 of the files in this part (one of `PARTS`) that were last put in that time."""
        of_part = self._times(part, _NAME)
        return [path.stem for path, at in of_part if since.timestamp() <= at < until.timestamp()]

    def remove_untouched(self, sha256: str, *, until: datetime) -> bool:
        """Remove it unless it was put again meanwhile, or just now, by another thread. Whether it was removed.

        What is lent stays, however old it looks: the clock may have been set since it was put.
        """
        path = self._path(sha256)
        with self._touching:
            if sha256 in self._loans:
                return False
            return path.exists() and path.stat().st_mtime < until.timestamp() and self._unlink(sha256)

    def clear_unfinished(self, part: str) -> None:
        """Remove what a process that died was putting in this part. The folder is this process's alone."""
        for path, _ in self._times(part, _UNFINISHED):
            with self._touching:
                if path not in self._unfinished:
                    path.unlink(missing_ok=True)

    def _begin(self, folder: Path) -> tuple[int, Path]:
        """Create a file to write to, which `clear_unfinished` leaves alone."""
        with self._touching:
            handle, name = tempfile.mkstemp(dir=folder)
            self._unfinished.add(Path(name))
        return handle, Path(name)

    def _times(self, part: str, name: re.Pattern[str]) -> Iterator[tuple[Path, float]]:
        """Yield the files in this part whose names match, and when they were last put."""
        folder = self._folder / part
        for path in folder.iterdir() if folder.is_dir() else ():
            if name.fullmatch(path.name):
                with suppress(FileNotFoundError):  # others remove files too
                    yield path, path.stat().st_mtime

    def _touch(self, path: Path) -> bool:
        """Count the file as put now; return whether it is there."""
        try:
            os.utime(path)
        except OSError:  # also one that is not ours to touch: it is written again
            return False
        return True

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a SHA-256")
        return self._folder / sha256[:2] / f"{sha256}.png"
