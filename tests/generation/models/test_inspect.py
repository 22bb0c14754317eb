"""A table of published headers: what `models add` accepts, and what it says of the rest. Real files, tiny."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models
from generation.errors import ConfigurationError
from generation.models.registry import Entry, Kind

Shapes = dict[str, tuple[int, ...]]


def write(path: Path, shapes: Shapes, metadata: dict[str, str] | None = None) -> Path:
    save_file({name: np.full(shape, 0.5, np.float16) for name, shape in shapes.items()}, path, metadata=metadata)
    return path


def add(folder: Path, path: Path, **options: Any) -> tuple[Entry, str]:
    said: list[str] = []
    return models.add(folder / "models", str(path), say=said.append, **options), "\n".join(said)


TAKEN: dict[str, tuple[Shapes, Kind, int]] = {
    "words of A1111": ({"emb_params": (3, 768)}, Kind.EMBEDDING, 768),
    "words of diffusers": ({"<cat>": (768,)}, Kind.EMBEDDING, 768),
    "words of XL": ({"clip_l": (3, 768), "clip_g": (3, 1280)}, Kind.EMBEDDING, 2048),
    "words of XL, with a count of steps": (
        {"clip_l": (3, 768), "clip_g": (3, 1280), "step": (1,)},
        Kind.EMBEDDING,
        2048,
    ),
    "a VAE": ({"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 4, 3, 3)}, Kind.VAE, 0),
    "a VAE cut from a checkpoint": (
        {
            "first_stage_model.encoder.conv_in.weight": (8, 3, 3, 3),
            "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3),
        },
        Kind.VAE,
        0,
    ),
}

REFUSED: dict[str, tuple[Shapes, str]] = {
    "words of Flux": ({"clip_l": (3, 768), "t5xxl": (3, 4096)}, "a text encoder that Stable Diffusion"),
    "words of Stable Diffusion 3": (
        {"clip_l": (3, 768), "clip_g": (3, 1280), "t5xxl": (3, 4096)},
        "a text encoder that Stable Diffusion",
    ),
    "words for the second encoder alone": ({"clip_g": (3, 1280)}, "a text encoder that Stable Diffusion"),
    "too many words": ({"emb_params": (65, 768)}, "1 to 64 vectors"),
    "no word": ({"emb_params": (0, 768)}, "1 to 64 vectors"),
    "unequal words": ({"clip_l": (3, 768), "clip_g": (2, 1280)}, "equally many"),
    "two tables of unknown use": ({"a": (3, 768), "b": (3, 1280)}, "no checkpoint, LoRA"),
    "a VAE of Cascade": (
        {"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 3, 3, 3)},
        "VAE of 3 latent channels, and those of models that are run here have 4, 16, 32",
    ),
    "a VAE of films": (
        {"encoder.conv_in.weight": (8, 3, 3, 3, 3), "decoder.conv_in.weight": (8, 16, 3, 3, 3)},
        "is a VAE of films",
    ),
}


@pytest.mark.parametrize("name", TAKEN)
def test_usable_files_are_accepted(tmp_path: Path, name: str) -> None:
    shapes, kind, width = TAKEN[name]
    entry, _ = add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert (entry.kind, entry.context_width) == (kind, width)


@pytest.mark.parametrize("name", REFUSED)
def test_unusable_files_are_refused_with_a_sentence(tmp_path: Path, name: str) -> None:
    shapes, says = REFUSED[name]
    with pytest.raises(ConfigurationError) as refused:
        add(tmp_path, write(tmp_path / "x.safetensors", shapes))
    assert says in str(refused.value) and str(refused.value).endswith(".") and "\n" not in str(refused.value)
    assert not (tmp_path / "models").exists()
