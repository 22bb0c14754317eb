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

from db.access import BESIDE
from db.integrity import explain
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
