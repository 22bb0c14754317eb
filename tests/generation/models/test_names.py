"""Names are unique: a name stays until an entry of the same kind replaces it on purpose."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.names import name_for
from generation.models.registry import Kind, ModelRegistry

A_LAYER = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"


def a_lora(path: Path, *, value: float = 1.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    down, up = np.full((2, 768), value, np.float32), np.ones((320, 2), np.float32)
    save_file({f"{A_LAYER}.lora_down.weight": down, f"{A_LAYER}.lora_up.weight": up}, path)
    return path


def a_word(path: Path, *, value: float = 1.0) -> Path:
    save_file({"emb_params": np.full((2, 768), value, np.float32)}, path)
    return path


def a_vae(path: Path) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", "latent_channels": 4}))
    save_file({"x": np.ones(2, np.float32)}, path / "diffusion_pytorch_model.safetensors")
    return path


def add(folder: Path, what: Path, *, name: str | None = None, replaces: bool = False) -> None:
    models.add(folder / "models", str(what), say=lambda line: None, name=name, replaces=replaces)


def names(folder: Path) -> list[tuple[str, Kind]]:
    return [(entry.name, entry.kind) for entry in ModelRegistry.read(folder / "models").entries]


@pytest.mark.parametrize("second", ["anime", "Anime", "ANIME"])
@pytest.mark.parametrize("make", [a_lora, a_word])
def test_a_taken_name_is_refused(tmp_path: Path, make: object, second: str) -> None:
    """A LoRA named like a VAE removed it from the registry, and the bot did not start."""
    add(tmp_path, a_vae(tmp_path / "vae"), name="anime")
    before = (tmp_path / "models" / "models.json").read_bytes()
    with pytest.raises(ConfigurationError, match=r"already a VAE called anime \(.*Choose another name with --name"):
        add(tmp_path, make(tmp_path / "x.safetensors"), name=second)  # type: ignore[operator]
    assert (tmp_path / "models" / "models.json").read_bytes() == before


def test_words_that_differ_in_case_only_would_be_one_word_of_a_prompt(tmp_path: Path) -> None:
    add(tmp_path, a_word(tmp_path / "badhands.safetensors"))
    (tmp_path / "more").mkdir()
    with pytest.raises(ConfigurationError, match="already a textual inversion called badhands"):
        add(tmp_path, a_word(tmp_path / "more" / "BadHands.safetensors", value=2.0))


@pytest.mark.parametrize("name", ["neon", "Neon", "paintbox", "PaintBox"])
@pytest.mark.parametrize("replaces", [False, True])
def test_built_in_names_are_never_given_away(tmp_path: Path, name: str, *, replaces: bool) -> None:
    with pytest.raises(ConfigurationError, match="built-in"):
        add(tmp_path, a_lora(tmp_path / f"{name}.safetensors"), replaces=replaces)
    assert names(tmp_path) == []


def test_replace_needs_the_same_kind(tmp_path: Path) -> None:
    add(tmp_path, a_lora(tmp_path / "x.safetensors"))
    other = a_lora(tmp_path / "new" / "x.safetensors", value=2.0)
    with pytest.raises(ConfigurationError, match="replace it by another LoRA with --replace"):
        add(tmp_path, other)
    add(tmp_path, other, replaces=True)
    assert names(tmp_path) == [("x", Kind.LORA)]
    assert Catalog.open("paintbox", tmp_path / "models").default.loras[-1].path == other
    with pytest.raises(ConfigurationError, match="x is a LoRA and cannot be replaced by a textual inversion"):
        add(tmp_path, a_word(tmp_path / "word.safetensors"), name="x", replaces=True)
    with pytest.raises(ConfigurationError, match="already a LoRA called x"):
        add(tmp_path, other, name="X", replaces=True)


def test_two_files_with_the_name_a_tool_gives_all_are_called_by_their_folders(tmp_path: Path) -> None:
    for folder in ("ink", "neon lights"):
        add(tmp_path, a_lora(tmp_path / folder / "pytorch_lora_weights.safetensors"))
    assert names(tmp_path) == [("ink", Kind.LORA), ("neon-lights", Kind.LORA)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/m/Neon Lights!.safetensors", "Neon-Lights"),
        ("/m/ink/adapter_model.safetensors", "ink"),
        ("/m/ink/checkpoint-500/pytorch_lora_weights.safetensors", "ink"),
        ("/m/sd/vae/diffusion_pytorch_model.fp16.safetensors", "sd"),
        ("/m/sd/unet/diffusion_pytorch_model-00001-of-00002.safetensors", "sd"),
        ("/m/toy/model", "toy"),
        ("/m/toy/vae", "toy"),
        ("/m/toy/vae.safetensors", "vae"),
        ("someone/ink/pytorch_lora_weights.safetensors", "ink"),
        ("someone/lora/model.safetensors", "someone"),
        ("someone/sdxl-vae", "sdxl-vae"),
        ("/model.safetensors", "model"),
        ("/m/modelling.safetensors", "modelling"),
    ],
)
def test_a_name_tells_what_it_is(path: str, name: str) -> None:
    assert name_for(PurePosixPath(path)) == name
