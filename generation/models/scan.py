"""Adds all models, LoRA, textual inversions, VAE and upscalers below a folder, as AUTOMATIC1111 and ComfyUI keep them.

What a file is for is read from its header, so the names of folders do not matter. Nothing is moved or changed there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from generation.errors import ConfigurationError
from generation.models.hashing import WHOLE, digest_file, take_stamp
from generation.models.ip_adapter_layout import is_image_encoder
from generation.models.json_file import read_json
from generation.models.layout import WEIGHTS_THAT_RUN_CODE
from generation.models.registry import Entry, ModelRegistry

_INDEX = "model_index.json"


@dataclass(frozen=True, slots=True)
class Scanned:
    """One file or folder: what it was added as, or why not. Neither is set for one that was there already."""

    path: Path
    entry: Entry | None = None
    problem: str = ""


def scan(models_dir: Path, root: Path, add: Callable[[Path], Entry]) -> Iterator[Scanned]:
    """Add each file below `root` that is not there yet, and yield what became of it.

    Raise `ConfigurationError` if `root` is no folder.
    """
    if not root.is_dir():
        raise ConfigurationError(problem=f"There is no folder {root}.", remedy="Name the folder your models lie in.")
    for path in find_candidates(root):
        if path.suffix.lower() in WEIGHTS_THAT_RUN_CODE:
            yield Scanned(path, problem="This format can run code when it is opened. Look for it as .safetensors.")
        elif _is_known(models_dir, path):
            yield Scanned(path)
        else:
            yield _add_one(path, add)


def find_candidates(root: Path) -> Iterator[Path]:
    """Yield model folders, single files and files in formats that are never opened, in order of their paths.

    Folders and files whose name begins with a dot are passed over, and what lies inside a model folder is part of it.
    """
    for path in sorted(root.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink():
            if (path / _INDEX).is_file() or _is_image_encoder(path):
                yield path
            else:
                yield from find_candidates(path)
        elif path.is_file() and path.suffix.lower() in (".safetensors", *WEIGHTS_THAT_RUN_CODE):
            yield path


def _is_image_encoder(folder: Path) -> bool:
    """Return whether a folder holds what IP-Adapters see through: no file by itself says so."""
    try:
        return is_image_encoder(read_json(folder / "config.json"))
    except (OSError, ValueError, RecursionError):
        return False


def _add_one(path: Path, add: Callable[[Path], Entry]) -> Scanned:
    try:
        return Scanned(path, entry=add(path))
    except ConfigurationError as refused:
        return Scanned(path, problem=str(refused))
    except OSError as error:
        return Scanned(path, problem=f"It cannot be read ({type(error).__name__}).")


def _is_known(models_dir: Path, path: Path) -> bool:
    """Return whether an entry has this very path and content, so that a second scan costs little."""
    entries = [entry for entry in ModelRegistry.read(models_dir).entries if entry.place(models_dir) == path.absolute()]
    if not path.is_file():
        return bool(entries)
    if any(entry.stamps.get(WHOLE) == take_stamp(path) for entry in entries):
        return True
    digest = digest_file(path) if entries else ""
    return any(entry.files.get(WHOLE) == digest for entry in entries)
