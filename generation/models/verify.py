"""Verifies that everything in the models folder is still what was added, and still allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from generation import progress
from generation.errors import ConfigurationError
from generation.models.add import check_safety
from generation.models.hashing import count_bytes, digests, hash_config
from generation.models.inspect import describe
from generation.models.named_parts import find_parts
from generation.models.registry import Entry, ModelRegistry


@dataclass(frozen=True, slots=True)
class Finding:
    """One entry, looked at again. `problem` is empty where all is well."""

    name: str
    problem: str = ""


def verify(models_dir: Path) -> Iterator[Finding]:
    """Hash every file again and apply today's rules. Raise `ConfigurationError` if the register itself cannot be
    read."""
    for entry in ModelRegistry.read(models_dir).entries:
        try:
            with progress.task(f"Reading {entry.name}", count_bytes(entry.place(models_dir)), is_bytes=True):
                problem = _problem(entry, models_dir)
            yield Finding(entry.name, problem)
        except ConfigurationError as refused:
            yield Finding(entry.name, str(refused))
        except (OSError, ValueError) as error:
            yield Finding(entry.name, f"{entry.place(models_dir)} {error}")


def _problem(entry: Entry, models_dir: Path) -> str:
    path = entry.place(models_dir)
    if not path.exists():
        return f"{path} is gone."
    config = models_dir / entry.config if entry.config else None
    parts = find_parts(ModelRegistry.read(models_dir), entry)
    check_safety(path, describe(path), config, parts, prediction=entry.prediction)
    changes = [*_changes(entry.files, digests(path))]
    if config is not None:
        changes += _changes(entry.config_files, hash_config(config))
    return "; ".join(changes)


def _changes(recorded: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(recorded.keys() | found.keys()):
        if name not in found:
            yield f"{name} is gone"
        elif name not in recorded:
            yield f"{name} is new"
        elif recorded[name] != found[name]:
            yield f"{'it' if name == '.' else name} has changed"
