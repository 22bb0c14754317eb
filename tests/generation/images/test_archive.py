"""Pictures as ZIP files: all of them, each within the limit, always the same bytes."""

from __future__ import annotations

import io
import zipfile

from hypothesis import given
from hypothesis import strategies as st

from generation.images.archive import build_archives, fits_in_archive

NAMES = st.text("abcüж-0123.", min_size=1, max_size=40)
FILES = st.dictionaries(NAMES, st.binary(max_size=400), max_size=10)


def unpack(archives: list[bytes]) -> list[tuple[str, bytes]]:
    opened = [zipfile.ZipFile(io.BytesIO(each)) for each in archives]
    assert all(entry.compress_type == zipfile.ZIP_STORED for each in opened for entry in each.infolist())
    return [(entry.filename, each.read(entry)) for each in opened for entry in each.infolist()]


@given(FILES, st.integers(0, 2000))
def test_each_file_is_in_one_archive_within_the_limit(files: dict[str, bytes], max_bytes: int) -> None:
    archives = build_archives(files, max_bytes)
    assert all(len(each) <= max_bytes for each in archives)
    fitting = [(name, data) for name, data in files.items() if fits_in_archive(name, data, max_bytes)]
    assert unpack(archives) == fitting
    assert archives == build_archives(files, max_bytes)


@given(FILES)
def test_what_fits_in_one_archive_is_in_one(files: dict[str, bytes]) -> None:
    assert len(build_archives(files, 100_000)) == min(1, len(files))
