"""SHA-256 of what is read of a model, file by file and in total. Needs no torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from generation.models.layout import files_read

WHOLE = "."
"""The name of a single file among its own files."""


def digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of every file read in a folder, by its path inside, sorted; of a single file, as `WHOLE`."""
    if path.is_file():
        return {WHOLE: digest_file(path)}
    return {file.relative_to(path).as_posix(): digest_file(file) for file in files_read(path)}


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def compute_total_digest(files: Mapping[str, str], *, config: Mapping[str, str], vae: Mapping[str, str]) -> str:
    """Return one SHA-256 over a model: its own files, a single file's settings, a VAE in place of its own.

    Names and contents count, and their order.
    """
    total = hashlib.sha256()
    for prefix, part in (("", files), ("config ", config), ("vae ", vae)):
        for name, digest in part.items():
            total.update(f"{prefix}{name} {digest}\n".encode())
    return total.hexdigest()


def hash_files(path: Path, *, config: Path | None = None, vae: Path | None = None) -> str:
    """Return the `compute_total_digest` of the files on disk now."""
    settings = {} if config is None else hash_config(config)
    return compute_total_digest(digests(path), config=settings, vae={} if vae is None else digests(vae))


def hash_config(folder: Path) -> dict[str, str]:
    """Return the digests of a model folder's settings and word lists, without its weights."""
    return {
        file.relative_to(folder).as_posix(): digest_file(file)
        for file in files_read(folder)
        if file.suffix != ".safetensors"
    }
