"""FLUX.1 in one file, its two text encoders and its VAE elsewhere: as its folder paints, in every dialect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import init_empty_weights
from diffusers import FluxTransformer2DModel
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import save_file
from torch import Tensor

from cli import models as command
from generation.engine import author_names
from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog, Model
from generation.models.json_file import read_json
from generation.models.verify import verify
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, paint
from tests.generation.engine.test_gguf_weights import save_gguf
from tests.generation.engine.toy import REAL
from tests.generation.engine.toy_files import PREFIX, read_transformer
from tests.generation.engine.toy_flow import SIDE_PX, save_toy_flux
from tests.generation.engine.toy_flux_files import (
    in_fp8,
    name_flux_as_published,
    read_part,
    save_ae,
    save_clip,
    save_t5,
)
from tests.generation.engine.trial_here import require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
NAMED = {"text_encoder": "clip_l", "text_encoder_2": "t5xxl", "vae": "ae"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_flux(tmp_path_factory.mktemp("flux"), vae_width=32, sizes=REAL)


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def add(models_dir: Path, path: Path, **options: Any) -> str:
    said: list[str] = []
    command.add(models_dir, str(path), say=said.append, **options)
    return "\n".join(said)


def add_parts(models_dir: Path, folder: Path, tmp_path: Path, form: str = "whole") -> None:
    """Add CLIP, T5 and VAE as files; the word list of T5 is that of the folder."""
    add(models_dir, save_clip(folder, tmp_path / "clip_l.safetensors"))
    t5 = save_t5(folder, tmp_path / "t5xxl.safetensors", form, part="text_encoder_2")
    add(models_dir, t5, config=str(folder))
    add(models_dir, save_ae(folder, tmp_path / "ae.safetensors"))


def save_transformer(folder: Path, file: Path, dialect: str) -> Path:
    weights = read_transformer(folder)
    if dialect != "diffusers":
        weights = name_flux_as_published(weights)
    prefix = PREFIX if dialect == "prefixed" else ""
    save_file({prefix + name: weight for name, weight in weights.items()}, file)
    return file


def toy(models_dir: Path, name: str) -> Model:
    return Catalog.open(name, models_dir).default


def picture(model: Model, dtype: str = "float32") -> np.ndarray:
    engine = Engine([model], EngineSettings(num_threads=1, dtype=dtype))
    try:
        spec = a_spec(model=model.name, sampler="Euler", steps=2, width_px=SIDE_PX, height_px=SIDE_PX, negative="")
        return as_array(paint(engine, an_order(spec)))
    finally:
        engine.close()


@pytest.mark.parametrize(
    "dialect", ["published", *(pytest.param(each, marks=pytest.mark.long) for each in ("prefixed", "diffusers"))]
)
def test_every_dialect_paints_what_its_folder_paints(folder: Path, tmp_path: Path, dialect: str) -> None:
    """Settings and the words of CLIP are those that the headers tell."""
    models_dir = tmp_path / "models"
    add(models_dir, folder, name="whole")
    add_parts(models_dir, folder, tmp_path)
    file = save_transformer(folder, tmp_path / "flux1-dev.safetensors", dialect)
    add(models_dir, file, **NAMED)
    model = toy(models_dir, "flux1-dev")
    assert (model.family, model.defaults.embeds_guidance) == ("flux", True)
    assert {name: path.stem for name, path in model.parts.items()} == NAMED
    assert np.array_equal(picture(model), picture(toy(models_dir, "whole")))
    assert not any(each.problem for each in verify(models_dir))


def test_names_are_converted_as_diffusers_converts_them() -> None:
    """At the width of the real one, which its converter has in it; with few columns, which stay as they are."""
    with init_empty_weights():
        model = FluxTransformer2DModel(num_layers=2, num_single_layers=2, guidance_embeds=True)
    draw = torch.Generator().manual_seed(0)
    ours = {
        name: torch.randn(*(size if at == 0 else 2 for at, size in enumerate(each.shape)), generator=draw)
        for name, each in model.state_dict().items()
    }
    published = name_flux_as_published(ours)
    theirs = convert_flux_transformer_checkpoint_to_diffusers(dict(published))
    made = author_names.rename("FluxTransformer2DModel", published, model.inner_dim)
    assert made.keys() == theirs.keys() == ours.keys()
    assert all(torch.equal(made[name], each) and torch.equal(ours[name], each) for name, each in theirs.items())


def test_settings_are_those_of_the_real_models(tmp_path: Path) -> None:
    """By the shapes of FLUX.1 dev and schnell, and of their text encoders."""
    from generation.models.transformer_file import derive_scheduler, derive_transformer, find_family

    for guided in (True, False):
        with init_empty_weights():
            model = FluxTransformer2DModel(guidance_embeds=guided)
        shapes = {f"{PREFIX}{name}": tuple(each.shape) for name, each in model.state_dict().items()}
        assert find_family(shapes) == "flux" and find_family(shapes, "flux1-Kontext-dev") == "kontext"
        derived = derive_transformer(shapes, "flux")
        assert {name: model.config[name] for name in derived if name != "_class_name"} == {
            name: tuple(each) if isinstance(each, list) else each
            for name, each in derived.items()
            if name != "_class_name"
        }
        assert derive_scheduler(shapes, "flux")["use_dynamic_shifting"] is guided


@pytest.mark.parametrize("form", ["gguf", *(pytest.param(each, marks=pytest.mark.long) for each in ("fp8", "scaled"))])
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_small_formats_paint_nearly_what_the_folder_paints(folder: Path, tmp_path: Path, form: str, dtype: str) -> None:
    models_dir = tmp_path / "models"
    add(models_dir, folder, name="whole")
    add_parts(models_dir, folder, tmp_path, form)
    weights, file = name_flux_as_published(read_transformer(folder)), tmp_path / "small.safetensors"
    if form == "gguf":
        file = save_gguf(weights, tmp_path / "small.gguf", Kind.Q8_0, arch="flux")
    else:
        save_file(in_fp8(weights, is_scaled=form == "scaled"), file)
    add(models_dir, file, **NAMED)
    exact, near = (picture(toy(models_dir, name), dtype) for name in ("whole", "small"))
    assert 0 < np.abs(exact - near).mean() < 8


@pytest.mark.long  # the pictures above show one format
def test_a_t5_from_a_file_is_that_of_its_folder_in_every_number_format(folder: Path, tmp_path: Path) -> None:
    """Of a folder in bfloat16 transformers keeps its last layers so, in float16 in float32."""
    models_dir = tmp_path / "models"
    add(models_dir, folder, name="whole")
    add_parts(models_dir, folder, tmp_path)
    add(models_dir, folder, name="parts", **NAMED)
    for dtype in ("bfloat16", "float16"):
        assert np.array_equal(picture(toy(models_dir, "parts"), dtype), picture(toy(models_dir, "whole"), dtype))


def test_kontext_is_told_by_its_name_and_schnell_by_its_shapes(folder: Path, tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    add_parts(models_dir, folder, tmp_path)
    file = save_transformer(folder, tmp_path / "flux1-kontext-dev.safetensors", "published")
    add(models_dir, file, **NAMED)
    model = toy(models_dir, "flux1-kontext-dev")
    assert (model.family, model.info.max_references, model.defaults.guidance) == ("kontext", 1, 2.5)
    fast = save_toy_flux(tmp_path / "schnell", vae_width=32, sizes=REAL, is_schnell=True)
    add(models_dir, save_transformer(fast, tmp_path / "fast.safetensors", "published"), **NAMED)
    fast_model = toy(models_dir, "fast")
    assert (fast_model.defaults.steps, fast_model.defaults.embeds_guidance) == (4, False)
    assert fast_model.config is not None
    schedule = read_json(fast_model.config / "scheduler" / "scheduler_config.json")
    assert (schedule["shift"], schedule["use_dynamic_shifting"]) == (1.0, False)


def test_parts_are_those_of_a_folder_that_is_named_for_the_settings(folder: Path, tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    add(models_dir, folder, name="whole")
    add(models_dir, save_transformer(folder, tmp_path / "tune.safetensors", "published"), config="whole")
    model = toy(models_dir, "tune")
    assert model.parts == {part: folder / part for part in NAMED}
    assert np.array_equal(picture(model), picture(toy(models_dir, "whole")))


def _narrow(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    return weights | {name: weights[name][:-1].clone()}


def test_what_is_missing_or_wrong_is_said_in_a_sentence(folder: Path, tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    file = save_transformer(folder, tmp_path / "flux1-dev.safetensors", "published")
    t5 = save_t5(folder, tmp_path / "t5xxl.safetensors", "whole", part="text_encoder_2")
    alone = tmp_path / "alone"
    alone.mkdir()
    clip = save_clip(folder, alone / "clip_l.safetensors")
    words, last = read_part(folder, "text_encoder_2"), "encoder.block.1.layer.1.DenseReluDense.wo.weight"
    changed = {
        "short": {name: each for name, each in words.items() if name != last},
        "narrow": _narrow(words, last),
        "umt5": words
        | {
            "encoder.block.1.layer.0.SelfAttention.relative_attention_bias.weight": torch.zeros(32, 2),
        },
    }
    for name, weights in changed.items():
        save_file(weights, alone / f"{name}.safetensors")
    swapped = NAMED | {"text_encoder": "t5xxl"}
    cases: list[tuple[Path, dict[str, str], str]] = [
        (file, {}, r"its text encoder \(CLIP\), its text encoder 2 \(T5\) and its VAE are not named"),
        (file, {}, r"--text-encoder NAME\|PATH --text-encoder-2 NAME\|PATH --vae NAME\|PATH"),
        (file, {"text_encoder": str(clip), "vae": str(folder / "vae")}, r"its text encoder 2 \(T5\) is not named"),
        (t5, {}, "no word list for a text encoder .*--config black-forest-labs/FLUX.1-schnell"),
        (t5, {"config": str(folder / "tokenizer")}, "no word list for a text encoder"),
        (alone / "short.safetensors", {}, f"lacks 1 weights of a T5, among them {last}"),
        (alone / "narrow.safetensors", {}, r"wo.weight of \(63, 64\), where \(64, 64\) fits"),
        (alone / "umt5.safetensors", {}, "is a UMT5"),
        (
            file,
            NAMED | {"text_encoder_3": "t5xxl"},
            r"--text-encoder-3 is not for FLUX.1\. It has",
        ),
        (t5, {"text_encoder_2": "t5xxl"}, "--text-encoder-2 is for models"),
    ]
    for path, options, said in cases:
        with pytest.raises(ConfigurationError, match=said) as refused:
            add(models_dir, path, **options)
        assert "\n" not in str(refused.value)
    add_parts(models_dir, folder, tmp_path)
    wrong_vae = NAMED | {"text_encoder_2": str(tmp_path / "ae.safetensors"), "vae": str(folder / "vae")}
    for options, said in (
        (swapped, r"t5xxl is T5, and --text-encoder of FLUX\.1 is CLIP\. Name it with --text-encoder-2"),
        (wrong_vae, "ae.safetensors is a VAE, not a text encoder. Name another with --text-encoder-2"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            add(models_dir, file, **options)


def test_parts_that_are_in_use_are_not_removed(folder: Path, tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    add_parts(models_dir, folder, tmp_path)
    add(models_dir, save_transformer(folder, tmp_path / "flux1-dev.safetensors", "published"), **NAMED)
    for name in NAMED.values():
        with pytest.raises(ConfigurationError, match="flux1-dev uses it"):
            command.remove(models_dir, name, say=lambda line: None)
    (tmp_path / "t5xxl.safetensors").unlink()
    assert "is not there" in Catalog.open("paintbox", models_dir).left_out["flux1-dev"]
