"""Remembers which models and checkers did not load, and why, in a small file until their files change. Needs no torch.

Loading blocks all users, and the same files under the same libraries fail the same way. The engine writes, the
shell and the bot read.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path

from generation.models.catalog import Model
from generation.models.layout import files_read
from generation.models.shared_additions import AddedChecker

Loadable = Model | AddedChecker
_LIBRARIES = ("torch", "diffusers", "transformers", "safetensors")


class FailedLoads:
    """Reasons by model. Without a file they last as long as this value."""

    def __init__(self, file: str = "") -> None:
        self._file = Path(file) if file else None
        self._kept: dict[str, dict[str, str]] = {}

    def get(self, model: Loadable) -> str | None:
        """Return why the model did not load; None if it was not tried, or its files have changed since."""
        kept = self._read().get(model.name)
        return kept["reason"] if kept is not None and kept["stamp"] == _stamp(model) else None

    def put(self, model: Loadable, reason: str) -> None:
        self._write(self._read() | {model.name: {"stamp": _stamp(model), "reason": reason}})

    def remove(self, model: Loadable) -> None:
        """Forget a failure, because the model loaded."""
        kept = self._read()
        if kept.pop(model.name, None) is not None:
            self._write(kept)

    def of(self, models: tuple[Loadable, ...]) -> Mapping[str, str]:
        """Return the reason of every one of these that does not load."""
        return {model.name: reason for model in models if (reason := self.get(model)) is not None}

    def _read(self) -> dict[str, dict[str, str]]:
        if self._file is None:
            return dict(self._kept)
        try:
            kept = json.loads(self._file.read_text("utf-8"))
            return {str(name): {key: str(each[key]) for key in ("stamp", "reason")} for name, each in kept.items()}
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            return dict(self._kept)

    def _write(self, kept: dict[str, dict[str, str]]) -> None:
        """Keep it in memory and, if possible, in the file."""
        self._kept = kept
        if self._file is None:
            return
        new = self._file.with_suffix(f".{os.getpid()}.new")  # other engines of this machine write it too
        try:
            new.write_text(json.dumps(kept, indent=1, sort_keys=True), "utf-8")
            new.replace(self._file)
        except OSError:
            self._file = None


def _stamp(model: Loadable) -> str:
    """Return a value that changes when a file of the model does, what was added, or a library that reads it. No file is
    opened."""
    stamp = hashlib.sha256(" ".join(f"{name} {version(name)}" for name in _LIBRARIES).encode())
    stamp.update(model.sha256.encode())
    for file in _files(model):
        try:
            there = file.stat()
            stamp.update(f"\n{file} {there.st_size} {there.st_mtime_ns}".encode())
        except OSError:
            stamp.update(f"\n{file} gone".encode())
    return stamp.hexdigest()


def _files(model: Loadable) -> Iterator[Path]:
    beside = (model.config, model.vae, model.safety_checker, model.upscaler) if isinstance(model, Model) else ()
    for path in (model.path, *beside):
        if path is not None:
            yield from files_read(path) if path.is_dir() else (path,)
