"""Reading the small JSON files of a model folder, which are other people's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_MAX_JSON_BYTES = 32 * 1024 * 1024


def read_json(path: Path) -> dict[str, Any]:
    """Return a small JSON object. Raise `ValueError` for anything else."""
    if path.stat().st_size > _MAX_JSON_BYTES:
        raise ValueError("is too large")
    value = json.loads(path.read_bytes())  # some editors begin it with a byte order mark
    if not isinstance(value, dict):
        raise ValueError("does not hold an object")
    return value
