"""SHA-256 of what is read of a model, file by file and in total. Needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from generation.models.layout import files_read
from generation.models.registry import PARTS
from generation.progress import advance

WHOLE = "."
"""The name of a single file among its own files."""
_PIECE_BYTES = 2**20
_PARTS = (*PARTS, "image_encoder")
"""In the order in which they count."""


Stamp = tuple[int, int, int, int]
"""Size, time of the last change, inode, and time that its inode changed: what is another once a file is."""


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file whose SHA-256 was taken, and its stamp then."""

    path: Path
    stamp: Stamp
    sha256: str


def take_stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns


def list_files(path: Path) -> dict[str, Path]:
    """Return every file read in a folder, by its path inside, sorted; a single file, as `WHOLE`."""
    if path.is_file():
        return {WHOLE: path}
    return {file.relative_to(path).as_posix(): file for file in files_read(path)}


def count_bytes(path: Path) -> int:
    """Return how much is read of a file or folder; 0 if it is not there."""
    return sum(file.stat().st_size for file in list_files(path).values()) if path.exists() else 0


def digests(path: Path, known: Iterable[KnownFile] = ()) -> dict[str, str]:
    """Return the SHA-256 of every one of `list_files`. Those in `known` that are still the same are not read."""
    kept = {each.path: each for each in known}

    def digest(file: Path) -> str:
        each = kept.get(file)
        return each.sha256 if each is not None and take_stamp(file) == each.stamp else digest_file(file)

    return {name: digest(file) for name, file in list_files(path).items()}


def digest_file(path: Path) -> str:
    digest, piece = hashlib.sha256(), memoryview(bytearray(_PIECE_BYTES))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(piece):
            digest.update(piece[:size])
            advance(size)
    return digest.hexdigest()


def compute_total_digest(
    files: Mapping[str, str],
    *,
    config: Mapping[str, str],
    **parts: Mapping[str, str],
) -> str:
    """Return one SHA-256 over a model: its own files, a single file's settings, and the parts in place of its own, by
    what they are (`vae`, `text_encoder` …); of an IP-Adapter, the image encoder.

    Names and contents count, and their order.
    """
    total = hashlib.sha256()
    others = {"config": config, **{name: parts[name] for name in _PARTS if name in parts}}
    for prefix, part in (("", files), *((f"{name} ", part) for name, part in others.items())):
        for name, digest in part.items():
            total.update(f"{prefix}{name} {digest}\n".encode())
    return total.hexdigest()


def hash_files(
    path: Path,
    *,
    config: Path | None = None,
    known: Iterable[KnownFile] = (),
    **parts: Path,
) -> str:
    """Return the `compute_total_digest` of the files on disk now. `known`: as for `digests`."""
    known = tuple(known)
    settings = {} if config is None else hash_config(config)
    others = {name: digests(part, known) for name, part in parts.items()}
    return compute_total_digest(digests(path, known), config=settings, **others)


def hash_config(folder: Path) -> dict[str, str]:
    """Return the digests of a model folder's settings and word lists, without its weights."""
    return {
        file.relative_to(folder).as_posix(): digest_file(file)
        for file in files_read(folder)
        if file.suffix != ".safetensors"
    }
