"""Pictures that show what a model or a LoRA does: found when it is added, kept small beside the register.

Such a picture is a stranger's. Nothing here decodes it: `take`, which the caller brings, has that done by a process
without secrets, and returns a small picture that was written there with what the safety checkers score of it. One that
is broken, huge or missing is no reason against what it shows.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from generation.models.registry import Entry, Kind, ModelRegistry, Preview, PreviewScore
from generation.models.safetensors_header import read_tensors
from generation.models.shared_additions import AddedChecker, checker_of

FOLDER = "previews"
MAX_BYTES = 8 * 1024 * 1024
"""Of a preview as it is found. Those in headers have some 100 KB."""
MAX_KEPT_BYTES = 256 * 1024
Take = Callable[[bytes, tuple[AddedChecker, ...]], tuple[bytes, dict[str, PreviewScore]] | None]
_KINDS = (Kind.MODEL, Kind.LORA, Kind.EMBEDDING)
_BESIDE = tuple(f"{middle}.{kind}" for middle in (".preview", "") for kind in ("png", "jpg", "jpeg", "webp"))
"""How AUTOMATIC1111's web UI and others name the preview of a file, the first before the others."""
_IN_HEADER = "modelspec.thumbnail"
_DATA_URI = re.compile(r"data:image/(?:png|jpeg|jpg|webp);base64,([A-Za-z0-9+/=\s]+)")


def keep_preview(models_dir: Path, entry: Entry, take: Take) -> Entry:
    """Find the preview of what was just added, keep it, and return the entry that names it."""
    if entry.kind not in _KINDS:
        return entry
    register = ModelRegistry.read(models_dir)
    checkers = tuple(checker_of(each, models_dir) for each in register.entries if each.kind is Kind.CHECKER)
    for found in _find(entry.place(models_dir)):
        if (taken := take(found, checkers)) is None:
            continue
        data, scores = taken
        preview = Preview(
            sha256=hashlib.sha256(data).hexdigest(),
            scores=scores,
            added_checkers=tuple(each.sha256 for each in checkers),
        )
        try:
            _write(locate_preview(models_dir, preview), data)
        except OSError:
            return entry
        entry = msgspec.structs.replace(entry, preview=preview)
        register.replacing(entry).write(models_dir)
        return entry
    return entry


def locate_preview(models_dir: Path, preview: Preview) -> Path:
    return models_dir / FOLDER / f"{preview.sha256}.png"


def list_previews(register: ModelRegistry, models_dir: Path) -> dict[str, tuple[Path, Preview]]:
    """Return the previews by what they show, and where they lie."""
    shown = ((each.name, each.preview) for each in register.entries)
    return {name: (locate_preview(models_dir, preview), preview) for name, preview in shown if preview is not None}


def read_preview(path: Path, sha256: str) -> bytes | None:
    """Return a preview that is kept; None if it is not there, or not the one that was looked at."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEPT_BYTES + 1)
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == sha256 else None


def remove_unused(models_dir: Path) -> None:
    """Delete the previews that no entry names."""
    used = {each.preview.sha256 for each in ModelRegistry.read(models_dir).entries if each.preview is not None}
    with contextlib.suppress(OSError):  # a folder that was never made, or that may only be read
        for path in sorted((models_dir / FOLDER).glob("*.png")):
            if path.stem not in used:
                path.unlink()


def _find(path: Path) -> Iterator[bytes]:
    """Yield the pictures that may be the preview of a file: those beside it, then the one in its header."""
    if not path.is_file():
        return
    for end in _BESIDE:
        beside = path.with_name(path.stem + end)
        with contextlib.suppress(OSError):
            if beside.is_file() and not beside.is_symlink() and beside.stat().st_size <= MAX_BYTES:
                yield beside.read_bytes()
    with contextlib.suppress(ValueError):
        if inside := _read_data_uri(read_tensors(path).metadata):
            yield inside


def _read_data_uri(metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of the picture in a header; none if there is no picture, or it is too large."""
    text = metadata.get(_IN_HEADER, "")
    if len(text) > MAX_BYTES * 4 // 3 or (found := _DATA_URI.fullmatch(text)) is None:
        return b""
    try:
        return base64.b64decode(found[1])
    except (binascii.Error, ValueError):
        return b""


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.replace(path)
