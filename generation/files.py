"""Finished pictures on disk, named by what is in them: the same bytes are kept once, and damage shows."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ImageFiles:
    """Content-addressed files under one folder. Blocking: callers run these methods off the event loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """Keep `data` and return its SHA-256. On disk when this returns: synced, then renamed into place."""
        sha256 = hashlib.sha256(data).hexdigest()
        target = self._path(sha256)
        if self.get(sha256) is not None:  # one that is damaged is written again
            return sha256
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        return sha256

    def get(self, sha256: str) -> bytes | None:
        """The file of that name, or None if it is gone or damaged."""
        try:
            data = self._path(sha256).read_bytes()
        except FileNotFoundError:
            return None
        return data if hashlib.sha256(data).hexdigest() == sha256 else None

    def remove(self, sha256: str) -> bool:
        """Whether there was one."""
        try:
            self._path(sha256).unlink()
        except FileNotFoundError:
            return False
        return True

    def _path(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise ValueError("not a SHA-256")
        return self._folder / sha256[:2] / f"{sha256}.png"
