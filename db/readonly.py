"""Look at a database and change nothing, not even the files that SQLite keeps beside it.

A database that a bot has open is joined. One that was not closed is looked at in a copy: to read its log, SQLite would
rebuild the index beside it. Any other is read as it lies.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

from sqlalchemy.engine import URL

from db import postgres
from db.access import BESIDE
from db.address import file_of
from db.backup import is_there
from db.integrity import Ask, asking, explain, require_usable
from db.lock import DatabaseLock

T = TypeVar("T")
_TRIES = 3
_LEFT = tuple(ending for ending in BESIDE if ending != "-shm")


def look(file: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    """Return `work(connection)`. Blocks. Raise `ConfigurationError` if SQLite cannot read the file.

    What a bot that starts or stops meanwhile makes of it is looked at again.
    """
    for last in (False,) * (_TRIES - 1) + (True,):
        before = _stamp(file)
        try:
            with _opened(file) as connection:
                return work(connection)
        except (sqlite3.Error, OSError) as error:
            if last or _stamp(file) == before:
                raise explain(error, file) from error
    raise AssertionError("the last try returns or raises")


def ask(url: URL, work: Callable[[Ask], T]) -> T:
    """Return `work(ask)` on either database, where `ask` runs one statement. Blocks. Raise `ConfigurationError`."""
    file = file_of(url)
    if file is None:
        return postgres.look(url, lambda connection: work(lambda said: list(connection.exec_driver_sql(said))))
    return look(file, lambda connection: work(asking(connection)))


def read_schema(url: URL, *, require: Callable[[Path, Ask], str | None] = require_usable) -> str | None:
    """Return the schema of the database, None if there is none. Raise `ConfigurationError` if this code cannot use
    it.

    `require`: in its place `require_usable_now`, which looks through no large file.
    """
    file = file_of(url)
    if file is None:
        return ask(url, lambda asked: postgres.require_usable(url, asked))
    return look(file, lambda found: require(file, asking(found))) if is_there(file) else None


def find_holder(url: URL) -> str | None:
    """Return who has the database open, None if it is free."""
    file = file_of(url)
    return postgres.look(url, postgres.find_holder) if file is None else DatabaseLock(file).holder()


@contextmanager
def _opened(file: Path) -> Iterator[sqlite3.Connection]:
    if DatabaseLock(file).holder() is not None:
        with closing(_connect(file, "mode=ro")) as connection:
            yield connection
    elif any(_size(file, ending) for ending in _LEFT):
        with tempfile.TemporaryDirectory(prefix="atelier-") as folder:
            copy = Path(folder) / file.name
            for ending in ("", *_LEFT):
                if _size(file, ending):
                    shutil.copyfile(file.with_name(f"{file.name}{ending}"), copy.with_name(f"{copy.name}{ending}"))
            with closing(sqlite3.connect(copy)) as connection:
                yield connection
    else:
        with closing(_connect(file, "mode=ro&immutable=1")) as connection:
            yield connection


def _connect(file: Path, how: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.resolve().as_uri()}?{how}", uri=True)


def _size(file: Path, ending: str) -> int:
    try:
        return file.with_name(f"{file.name}{ending}").stat().st_size
    except OSError:
        return 0


def _stamp(file: Path) -> list[tuple[int, int]]:
    found = [each for ending in ("", *_LEFT) if (each := file.with_name(f"{file.name}{ending}")).exists()]
    return [(each.stat().st_mtime_ns, each.stat().st_size) for each in found]
