"""The hashes by which the AUTOMATIC1111 web UI and Civitai look up the files that a picture was made with.

They are not the ones that Atelier pins files by: those cover all that is read of a model, and whole LoRA files.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from generation.models.catalog import Catalog
from generation.requests.spec import ImageSpec

_BLOCK_BYTES = 1 << 20


def lookup_hashes(spec: ImageSpec, catalog: Catalog) -> dict[str, str]:
    """Return the SHA-256 by `model` and `lora:NAME`; what has none, such as a model in a folder, is left out.

    A LoRA is read from disk the first time: call this off the event loop.
    """
    model = next((model for model in catalog.models if model.name == spec.model), None)
    if model is None:
        return {}
    here = {each.sha256: each.path for each in model.loras}
    found = {"model": model.file_sha256}
    for adapter in spec.adapters:
        if adapter.sha256 in here:
            found[f"lora:{adapter.name}"] = hash_tensors(here[adapter.sha256], adapter.sha256)
    return {name: sha256 for name, sha256 in found.items() if sha256}


@lru_cache(maxsize=256)
def hash_tensors(path: Path, file_sha256: str) -> str:
    """Return the SHA-256 of what follows a safetensors header; empty if the file is gone or has another SHA-256."""
    whole, tensors = hashlib.sha256(), hashlib.sha256()
    try:
        with path.open("rb") as file:
            length = file.read(8)
            header = file.read(int.from_bytes(length, "little"))
            whole.update(length + header)
            while block := file.read(_BLOCK_BYTES):
                whole.update(block)
                tensors.update(block)
    except (OSError, OverflowError, MemoryError):
        return ""
    return tensors.hexdigest() if whole.hexdigest() == file_sha256 else ""
