"""A person's rows as files to hand over: streamed, so that it does not matter how many there are.

A little is one JSON file. More is several ZIP files, each with a JSON file that can be read by itself, because Discord
takes a file only up to a size. All of them are files without a name: a crash leaves none behind.
"""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from db.stores.errors import ExportTooLargeError

MAX_PARTS = 10
_MARGIN = 2**17
"""What a compressor may still hold back, and the directory of a ZIP."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file to hand over. The caller closes it, and it is gone."""

    name: str
    file: IO[bytes]


class Export:
    """Takes rows, and gives the parts they fill. `part_bytes` is the most that one may hold."""

    def __init__(self, user_id: int, folder: Path, *, part_bytes: int) -> None:
        self._user_id = user_id
        self._folder = folder
        self._part_bytes = part_bytes
        self._files: list[IO[bytes]] = []
        self._raw_bytes = 0
        self._table = ""

    def write(self, rows: Iterable[tuple[str, bytes]]) -> list[Part]:
        """Write rows (the table's name, and the row as JSON), those of a table one after another.

        Raise `InvalidRequestError` for more than `MAX_PARTS`.
        """
        try:
            self._open()
            for table, row in rows:
                if self._files[-1].tell() + len(row) + _MARGIN > self._part_bytes and self._table:
                    self._close()
                    self._open()
                self._add(table, row)
            self._close()
            return self._parts()
        except BaseException:
            for file in self._files:
                file.close()
            raise

    def _open(self) -> None:
        if len(self._files) == MAX_PARTS:
            raise ExportTooLargeError(number=MAX_PARTS, most=self._part_bytes // 2**20)
        self._files.append(tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - the caller closes it
        self._zip = zipfile.ZipFile(self._files[-1], "w", zipfile.ZIP_DEFLATED)
        self._entry = self._zip.open(f"my-data-{len(self._files)}.json", "w", force_zip64=True)
        self._table = ""
        self._put(b'{"discord_user_id": %d, "tables": {' % self._user_id)

    def _add(self, table: str, row: bytes) -> None:
        if table == self._table:
            self._put(b",\n" + row)
        else:
            self._put(b"%s%s: [\n%s" % (b"\n],\n" if self._table else b"\n", json.dumps(table).encode(), row))
            self._table = table

    def _close(self) -> None:
        self._put(b"\n]}}\n" if self._table else b"}}\n")
        self._entry.close()
        self._zip.close()

    def _put(self, data: bytes) -> None:
        self._entry.write(data)
        self._raw_bytes += len(data)

    def _parts(self) -> list[Part]:
        if len(self._files) > 1:
            return [Part(f"my-data-{number}.zip", file) for number, file in enumerate(self._files, start=1)]
        if self._raw_bytes > self._part_bytes:
            return [Part("my-data.zip", self._files[0])]
        with self._files[0] as packed, zipfile.ZipFile(packed) as unpacking:
            return [Part("my-data.json", io.BytesIO(unpacking.read("my-data-1.json")))]
