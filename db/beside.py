"""A database beside the bot that owns it: for a few rows that the bot reads at every use, such as keys.

It takes no lock, changes no table, and leaves the rest of the data folder alone. What is written is one short
transaction: SQLite lets one program write at a time, and a server keeps both apart.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from sqlalchemy.engine import URL

from db import postgres
from db.address import describe, is_server
from db.backends import NUM_READERS, NUM_THREADS, Backend, FileBackend, ServerBackend
from db.backup import find_kept_beside
from db.file_watch import FileWatch
from db.integrity import require_usable_now
from db.readonly import read_schema
from db.revisions import newest_revision
from db.soundness import SoundnessCheck
from generation.errors import ConfigurationError


def open_beside(url: URL, data_dir: Path, *, busy_timeout_s: float) -> Backend:
    """Return a database that another process owns. Blocks. Raise `ConfigurationError` where its tables are others."""
    schema, ours = read_schema(url, require=require_usable_now), newest_revision()
    if schema != ours:
        raise ConfigurationError(
            problem=f"What runs on {describe(url)} is another version of Atelier (its schema is {schema}, not {ours}).",
            remedy="Restart it first.",
        )
    opened = FileBeside if not is_server(url) else ServerBeside
    return opened(url, data_dir, busy_timeout_s=busy_timeout_s)


class FileBeside(FileBackend):
    """A SQLite file that a bot has open."""

    def __init__(self, url: URL, data_dir: Path, *, busy_timeout_s: float) -> None:
        self.url, self._file = url, Path(str(url.database))
        self.scratch, self.set_aside = self._file.parent, find_kept_beside(self._file)
        self._lock = ExitStack()  # of nothing
        self._files, self._check = FileWatch(self._file), SoundnessCheck(self._file)  # never begun
        self._make_engines(busy_timeout_s)


class ServerBeside(ServerBackend):
    """A database of a server that a bot has open."""

    def __init__(self, url: URL, data_dir: Path, *, busy_timeout_s: float) -> None:
        self.url, self.scratch = url, data_dir
        self._lock, self._lost = ExitStack(), None
        self.writing = postgres.create_writing(url, wait_s=busy_timeout_s, is_owner=False)
        self.reading = postgres.create_reading(url, wait_s=busy_timeout_s, pool_size=NUM_READERS)
        self.apart = postgres.create_patient(url, wait_s=busy_timeout_s, pool_size=NUM_THREADS)
