"""Pictures as ZIP files: as they are, not deflated (a PNG is), and the same bytes for the same pictures."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping

_HEADERS = 2 * (30 + 46)
"""What a ZIP adds to a file beside its name, twice: before it and in the directory. Rounded up."""
_END = 22


def build_archives(files: Mapping[str, bytes], max_bytes: int) -> list[bytes]:
    """Return the files, by their names, in as few ZIP files of at most `max_bytes` as their order allows.

    Leave out a file that fits in none.
    """
    return [_build_archive(part) for part in _split(files, max_bytes)]


def fits_in_archive(name: str, data: bytes, max_bytes: int) -> bool:
    """Return whether a ZIP file of at most `max_bytes` can hold the file."""
    return _measure(name, data) + _END <= max_bytes


def _split(files: Mapping[str, bytes], max_bytes: int) -> Iterator[Iterable[tuple[str, bytes]]]:
    part, size = dict[str, bytes](), _END
    for name, data in files.items():
        if not fits_in_archive(name, data, max_bytes):
            continue
        if part and size + _measure(name, data) > max_bytes:
            yield part.items()
            part, size = {}, _END
        part[name] = data
        size += _measure(name, data)
    if part:
        yield part.items()


def _measure(name: str, data: bytes) -> int:
    return len(data) + 2 * len(name.encode()) + _HEADERS


def _build_archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name)  # dated 1980, so that the same pictures give the same bytes
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return buffer.getvalue()
