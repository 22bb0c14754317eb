"""What was added to the models folder for every model, upscalers and safety checkers; and files that are known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from generation.models.hashing import WHOLE, KnownFile, compute_total_digest
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.requests.upscalers import Upscaler


@dataclass(frozen=True, slots=True, kw_only=True)
class AddedChecker:
    """A safety checker that the operator added: it looks at the pictures of every model."""

    name: str
    path: Path
    sha256: str
    """Of what was added (`hashing.compute_total_digest`); anything else is refused."""


def list_upscalers(register: ModelRegistry, folder: Path, left_out: dict[str, str]) -> Iterator[Upscaler]:
    """Yield those whose file is there; of others `left_out` is told."""
    for entry in register.entries:
        if entry.kind is not Kind.UPSCALER:
            continue
        upscaler = upscaler_of(entry, folder)
        if upscaler.path.is_file():
            yield upscaler
        else:
            left_out[entry.name] = f"{upscaler.path} is not there."


def upscaler_of(entry: Entry, folder: Path) -> Upscaler:
    """Return what an entry of the register is to the engine."""
    return Upscaler(
        name=entry.name,
        path=entry.place(folder),
        sha256=entry.files[WHOLE],
        scale=entry.scale,
        licence=entry.licence,
    )


def list_known_files(*entries: Entry | None, folder: Path) -> tuple[KnownFile, ...]:
    """Return the files of entries whose SHA-256 was taken when they were added."""
    return tuple(
        KnownFile(path if name == WHOLE else path / name, stamp, entry.files.get(name, ""))
        for entry in entries
        if entry is not None and (path := entry.place(folder))
        for name, stamp in entry.stamps.items()
    )


def checker_of(entry: Entry, folder: Path) -> AddedChecker:
    """Return what a checker in the register is to the engine."""
    sha256 = compute_total_digest(entry.files, config={})
    return AddedChecker(name=entry.name, path=entry.place(folder), sha256=sha256)
