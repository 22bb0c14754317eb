"""Where the weights of a model lie, and how large they are on disk."""

from __future__ import annotations

from pathlib import Path

from generation.models.catalog import Model
from generation.models.families import FAMILIES
from generation.models.layout import weight_files


def list_parts(model: Model) -> list[Path]:
    """Return the file or the folders that a model's weights are read from, parts in place of its own included."""
    if model.config is not None:
        return [model.path, *model.parts.values()]
    own = [part for part in FAMILIES[model.family].weights if part not in model.parts]
    return [*(model.path / part for part in own), *model.parts.values()]


def count_weight_bytes(model: Model) -> int:
    """Return the size of the weight files that are read; 0 if one of them cannot be."""
    try:
        return sum(file.stat().st_size for part in list_parts(model) for file in weight_files(part))
    except (OSError, ValueError, KeyError):
        return 0
