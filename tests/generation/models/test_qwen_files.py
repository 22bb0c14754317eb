"""Qwen-Image in files of its own: small formats, half encoders, and what is refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file
from torch import Tensor

from cli import models as command
from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, paint
from tests.generation.engine.test_gguf_weights import save_gguf
from tests.generation.engine.toy_files import read_transformer, save_text_encoder, save_vae
from tests.generation.engine.toy_flow import save_toy_zimage
from tests.generation.engine.toy_qwen import save_toy_qwenimage
from tests.generation.engine.toy_text import save_gguf_text
from tests.generation.engine.trial_here import require_loadable_here

# Diffusers builds numpy arrays from tensors in a way numpy means to change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_qwenimage(tmp_path_factory.mktemp("qwenimage"))


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def add(models_dir: Path, path: Path, **options: Any) -> None:
    command.add(models_dir, str(path), say=lambda line: None, **options)


def picture(models_dir: Path, name: str) -> np.ndarray:
    engine = Engine([Catalog.open(name, models_dir).default], EngineSettings(num_threads=1))
    return as_array(paint(engine, an_order(a_spec(model=name, sampler="Euler", steps=2))))


def in_scaled_fp8(weights: Weights) -> Weights:
    """Return weights as ComfyUI publishes them: matrices in fp8 with a scale each."""
    found: Weights = {}
    for name, weight in weights.items():
        if weight.dim() == 2 and "visual" not in name:
            scale = weight.abs().max() / 448
            found[name] = (weight / scale).to(torch.float8_e4m3fn)
            found[name.removesuffix("weight") + "scale_weight"] = scale
        else:
            found[name] = weight
    return found


def read_reading_half(folder: Path) -> Weights:
    weights = load_file(folder / "text_encoder" / "model.safetensors")
    start = "model."
    return {name.removeprefix(start): each for name, each in weights.items() if name.startswith(start)}


@pytest.mark.parametrize("kind", ["fp8", pytest.param("gguf", marks=pytest.mark.long)])
def test_small_formats_paint_nearly_what_the_folder_paints(folder: Path, tmp_path: Path, kind: str) -> None:
    models_dir = tmp_path / "models"
    add(models_dir, folder, name="whole")
    if kind == "fp8":
        text, file = tmp_path / "text.safetensors", tmp_path / "small.safetensors"
        save_file(in_scaled_fp8(load_file(save_text_encoder(folder, text))), text)
        save_file(in_scaled_fp8(read_transformer(folder)), file)
    else:
        text = save_gguf_text(read_reading_half(folder), tmp_path / "text.gguf", Kind.Q8_0, arch="qwen2vl")
        file = save_gguf(read_transformer(folder), tmp_path / "small.gguf", Kind.Q8_0, arch="qwen_image")
    add(models_dir, text, name="text", config=str(folder))
    vae = save_vae(folder, tmp_path / "vae.safetensors", "qwenimage")
    add(models_dir, file, name="small", text_encoder="text", vae=str(vae))
    exact, near = picture(models_dir, "whole"), picture(models_dir, "small")
    assert 0 < np.abs(exact - near).mean() < 8


def _shapes(folder: Path, **more: tuple[int, ...]) -> Weights:
    weights = {name: torch.zeros(1).expand(each.shape).clone() for name, each in read_transformer(folder).items()}
    return weights | {name: torch.zeros(shape) for name, shape in more.items()}


REFUSED: list[tuple[str, dict[str, tuple[int, ...]], str]] = [
    ("layered", {"time_text_embed.addition_t_embedding.weight": (2, 64)}, "is Qwen-Image-Layered, which paints layers"),
    ("21", {"txt_in.text_norm.weight": (64,)}, "is Qwen-Image 2.1, which cannot be used here"),
    ("edit", {"__index_timestep_zero__": (1,)}, "is Qwen-Image-Edit, which edits pictures"),
]


@pytest.mark.parametrize(("name", "more", "said"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_relatives_in_one_file_are_refused_by_name(
    folder: Path, tmp_path: Path, name: str, more: dict[str, tuple[int, ...]], said: str
) -> None:
    save_file(_shapes(folder, **more), tmp_path / "x.safetensors")
    with pytest.raises(ConfigurationError, match=said) as refused:
        add(tmp_path / "models", tmp_path / "x.safetensors", config=str(folder))
    assert "Qwen-Image" in str(refused.value)


def _vae_of_zimage(folder: Path, tmp_path: Path) -> dict[str, str]:
    other = save_toy_zimage(tmp_path / "z", vae_width=32)
    return {"vae": str(save_vae(other, tmp_path / "ae.safetensors", "zimage"))}


def _text_of_zimage(folder: Path, tmp_path: Path) -> dict[str, str]:
    other = save_toy_zimage(tmp_path / "z")
    return {"text_encoder": str(other / "text_encoder"), "vae": str(folder / "vae")}


@pytest.mark.parametrize(
    ("name_parts", "said"),
    [
        (_vae_of_zimage, "is of the kind AutoencoderKL, and Qwen-Image needs AutoencoderKLQwenImage"),
        (_text_of_zimage, "has a text encoder of the kind Qwen3, and Qwen-Image reads Qwen2.5-VL"),
    ],
)
def test_parts_of_other_kinds_are_refused(
    folder: Path, tmp_path: Path, name_parts: Callable[[Path, Path], dict[str, str]], said: str
) -> None:
    """The VAE of Z-Image has as many channels, and tells nothing of itself by them."""
    file = tmp_path / "paints.safetensors"
    save_file(read_transformer(folder), file)
    options = {"config": str(folder)} | name_parts(folder, tmp_path)
    options.pop("config") if "text_encoder" in options else None
    with pytest.raises(ConfigurationError, match=said):
        add(tmp_path / "models", file, **options)


def test_a_vae_of_films_with_other_channels_is_refused(folder: Path, tmp_path: Path) -> None:
    file = save_vae(folder, tmp_path / "vae.safetensors", "qwenimage")
    weights = load_file(file)
    weights["decoder.conv1.weight"] = torch.zeros(32, 48, 3, 3, 3)
    save_file(weights, file)
    with pytest.raises(ConfigurationError, match="a VAE of 48 latent channels"):
        add(tmp_path / "models", file)
