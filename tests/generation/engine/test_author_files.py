"""Chroma and Stable Diffusion 3.5 in one file, their text encoders and their VAE elsewhere: as their folders paint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from diffusers import ChromaTransformer2DModel, SD3Transformer2DModel
from diffusers.loaders.single_file_utils import (
    convert_chroma_transformer_checkpoint_to_diffusers,
    convert_sd3_transformer_checkpoint_to_diffusers,
)
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModelWithProjection

from cli import models as command
from generation.engine import author_names
from generation.engine.devices import Device
from generation.engine.loading import load_clip
from generation.errors import ConfigurationError
from generation.models.families import FAMILIES
from generation.models.part_settings import read_text_settings
from generation.models.transformer_file import derive_scheduler, derive_transformer, find_family
from tests.generation.engine.test_gguf_weights import save_gguf
from tests.generation.engine.test_several_encoders import add, picture, toy
from tests.generation.engine.toy import REAL
from tests.generation.engine.toy_files import PREFIX, read_transformer
from tests.generation.engine.toy_flow import save_toy_chroma, save_toy_sd3
from tests.generation.engine.toy_flux_files import (
    Weights,
    in_fp8,
    name_flux_as_published,
    name_sd3_as_published,
    save_ae,
    save_clip,
    save_t5,
)
from tests.generation.engine.trial_here import require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


class Toy(NamedTuple):
    save: Callable[[Path], Path]
    publish: Callable[[Weights], Weights]
    parts: Mapping[str, str]
    transformer: Any
    convert: Callable[[Weights], Weights]


TOYS = {
    "chroma": Toy(
        lambda folder: save_toy_chroma(folder, vae_width=32),
        name_flux_as_published,
        {"text_encoder": "t5xxl", "vae": "ae"},
        ChromaTransformer2DModel,
        convert_chroma_transformer_checkpoint_to_diffusers,
    ),
    "sd3": Toy(
        lambda folder: save_toy_sd3(folder, vae_width=32, sizes=REAL),
        name_sd3_as_published,
        {"text_encoder": "clip_l", "text_encoder_2": "clip_g", "text_encoder_3": "t5xxl", "vae": "ae"},
        SD3Transformer2DModel,
        convert_sd3_transformer_checkpoint_to_diffusers,
    ),
}


@pytest.fixture(scope="module", params=TOYS)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TOYS[family].save(tmp_path_factory.mktemp(family))


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def add_parts(models_dir: Path, folder: Path, tmp_path: Path, family: str, form: str = "whole") -> None:
    for part, name in TOYS[family].parts.items():
        file = tmp_path / f"{name}.safetensors"
        if name == "t5xxl":
            add(models_dir, save_t5(folder, file, form, part=part), config=str(folder))
        else:
            add(models_dir, save_ae(folder, file) if name == "ae" else save_clip(folder, file, part=part))


@pytest.mark.parametrize(
    "dialect", ["published", *(pytest.param(each, marks=pytest.mark.long) for each in ("prefixed", "diffusers"))]
)
def test_every_dialect_paints_what_its_folder_paints(folder: Path, tmp_path: Path, family: str, dialect: str) -> None:
    models_dir, kind = tmp_path / "models", TOYS[family]
    add(models_dir, folder, name="whole")
    add_parts(models_dir, folder, tmp_path, family)
    weights, prefix = read_transformer(folder), PREFIX if dialect == "prefixed" else ""
    if dialect != "diffusers":
        weights = kind.publish(weights)
    save_file({prefix + name: each for name, each in weights.items()}, tmp_path / "paints.safetensors")
    add(models_dir, tmp_path / "paints.safetensors", **kind.parts)
    for dtype in ("float32", "bfloat16") if dialect == "published" else ("float32",):
        made, exact = (picture(toy(models_dir, name), dtype) for name in ("paints", "whole"))
        assert np.array_equal(made, exact), dtype


@pytest.mark.parametrize("form", ["scaled", *(pytest.param(each, marks=pytest.mark.long) for each in ("fp8", "gguf"))])
def test_small_formats_paint_nearly_what_the_folder_paints(
    folder: Path, tmp_path: Path, family: str, form: str
) -> None:
    models_dir, kind = tmp_path / "models", TOYS[family]
    add(models_dir, folder, name="whole")
    add_parts(models_dir, folder, tmp_path, family, form)
    weights, file = kind.publish(read_transformer(folder)), tmp_path / "small.safetensors"
    if form == "gguf":
        file = save_gguf(weights, tmp_path / "small.gguf", Kind.Q8_0, arch=family)
    else:
        save_file(in_fp8(weights, is_scaled=form == "scaled"), file)
    add(models_dir, file, **kind.parts)
    exact, near = (picture(toy(models_dir, name)) for name in ("whole", "small"))
    assert 0 < np.abs(exact - near).mean() < 8


def test_names_are_converted_as_diffusers_converts_them(family: str) -> None:
    """At the width of the real one; with few columns, which stay as they are."""
    kind, draw = TOYS[family], torch.Generator().manual_seed(0)
    more = {"num_single_layers": 2} if family == "chroma" else {"dual_attention_layers": (0,), "qk_norm": "rms_norm"}
    with init_empty_weights():
        model = kind.transformer(num_layers=2, **more)
    ours = {
        name: torch.randn(*(size if at == 0 else 2 for at, size in enumerate(each.shape)), generator=draw)
        for name, each in model.state_dict().items()
    }
    published = kind.publish(ours)
    theirs = kind.convert(dict(published))
    made = author_names.rename(type(model).__name__, published, model.inner_dim)
    assert made.keys() == theirs.keys() == ours.keys()
    assert all(torch.equal(made[name], each) and torch.equal(ours[name], each) for name, each in theirs.items())


MEDIUM: dict[str, Any] = {
    "num_layers": 24,
    "num_attention_heads": 24,
    "caption_projection_dim": 1536,
    "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)),
    "qk_norm": "rms_norm",
}
LARGE = MEDIUM | {
    "num_layers": 38,
    "num_attention_heads": 38,
    "caption_projection_dim": 2432,
    "pos_embed_max_size": 192,
    "dual_attention_layers": (),
}
OLD = {"num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536, "pos_embed_max_size": 192}


@pytest.mark.parametrize(
    ("cls", "settings", "family"),
    [
        (ChromaTransformer2DModel, {}, "chroma"),
        (SD3Transformer2DModel, MEDIUM, "sd3"),
        pytest.param(SD3Transformer2DModel, LARGE, "sd3large", marks=pytest.mark.long),
        pytest.param(SD3Transformer2DModel, OLD, "sd3", marks=pytest.mark.long),
    ],
    ids=["Chroma", "3.5 Medium", "3.5 Large", "3"],
)
def test_settings_are_those_of_the_real_models(cls: Any, settings: dict[str, Any], family: str) -> None:
    common = {"out_channels": 16, "joint_attention_dim": 4096, "pooled_projection_dim": 2048}
    with init_empty_weights():
        model = cls(**(common | settings if family != "chroma" else settings))
    publish = TOYS["chroma" if family == "chroma" else "sd3"].publish
    for names in (model.state_dict(), publish(model.state_dict())):
        shapes = {f"{PREFIX}{name}": tuple(each.shape) for name, each in names.items()}
        assert find_family(shapes) == family
        derived = derive_transformer(shapes, family)
        for name, found in derived.items():
            if name != "_class_name":
                wanted = model.config[name]
                assert (list(wanted) if isinstance(found, list) else wanted) == found, name
        assert derive_scheduler(shapes, family)["shift"] == 3.0
    assert FAMILIES[family].is_flow


def test_the_sum_of_clip_l_is_as_it_is_and_that_of_clip_g_is_projected(tmp_path: Path) -> None:
    for width, is_big in ((64, False), (832, True)):
        config = CLIPTextConfig(
            vocab_size=60,
            hidden_size=width,
            intermediate_size=64,
            projection_dim=width,
            num_hidden_layers=1,
            num_attention_heads=width // 64,
            bos_token_id=58,
            eos_token_id=59,
            pad_token_id=59,
        )
        model = CLIPTextModelWithProjection(config)
        file = tmp_path / f"{width}.safetensors"
        save_file(model.state_dict(), file)
        loaded = load_clip(CLIPTextModelWithProjection, file, Device(torch.device("cpu"), torch.float32, 1))
        wanted = model.text_projection.weight if is_big else torch.eye(width)
        assert torch.equal(loaded.text_projection.weight, wanted)
        assert read_text_settings(file)["hidden_act"] == ("gelu" if is_big else "quick_gelu")
        weights = {name: each for name, each in model.state_dict().items() if "projection" not in name}
        save_file(weights, tmp_path / f"{width}-bare.safetensors")
    with pytest.raises(ConfigurationError, match="lacks 1 weights of a CLIP, among them text_proj"):
        add(tmp_path / "models", tmp_path / "832-bare.safetensors")


def test_relatives_are_refused_by_name(tmp_path: Path) -> None:
    weights = {"distilled_guidance_layer.in_proj.weight": torch.zeros(8, 8), "nerf_blocks.0.weight": torch.zeros(1)}
    save_file(weights, tmp_path / "radiance.safetensors")
    with pytest.raises(ConfigurationError, match="is Chroma Radiance, which paints pixels"):
        add(tmp_path / "models", tmp_path / "radiance.safetensors")
