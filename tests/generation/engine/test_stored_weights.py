"""Weights in fp8: read, applied with their scales, exact in company, and named in the fingerprint."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cli import model_defaults
from cli import models as command
from generation.engine.engine import Engine
from generation.engine.memory import loaded_bytes
from generation.engine.stored_weights import FP8, StoredLinear, is_finite, store
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished
from generation.models.catalog import Catalog, Model
from generation.models.safetensors_header import check_numbers
from generation.requests.recipe import Fingerprint
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy import save_toy
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.generation.engine.toy_files import name_as_published, read_transformer, save_text_encoder
from tests.generation.engine.toy_flow import save_toy_klein, save_toy_zimage
from tests.generation.engine.trial_here import require_loadable_here

SAVE: dict[str, Callable[..., Path]] = {"zimage": save_toy_zimage, "klein": save_toy_klein}
FAMILIES = ["zimage", pytest.param("klein", marks=pytest.mark.long)]
E4M3, E5M2 = FP8
Weights = dict[str, Tensor]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in SAVE.items()}


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def add_part(models_dir: Path, path: Path, **options: Any) -> None:
    command.add(models_dir, str(path), say=lambda line: None, **options)


def add(models_dir: Path, path: Path, **options: Any) -> Model:
    name = options.get("name", path.stem)
    add_part(models_dir, path, **options)
    return Catalog.open(name, models_dir).default


def in_fp8(weights: Weights, kind: torch.dtype = E4M3) -> Weights:
    return {name: each.to(kind) if _is_matrix(name, each) else each for name, each in weights.items()}


def _is_matrix(name: str, weight: Tensor) -> bool:
    return weight.dim() == 2 and "pad_token" not in name


def scaled(weights: Weights, scale_name: str) -> Weights:
    """Return them as ComfyUI's scaled files are: one scale a layer, an input scale that is not needed, a marker."""
    result: Weights = {"scaled_fp8": torch.empty(0, dtype=E4M3)}
    for name, each in weights.items():
        if not _is_matrix(name, each):
            result[name] = each
            continue
        scale = each.abs().max() / 448
        layer = name.removesuffix(".weight")
        result |= {name: (each / scale).to(E4M3), f"{layer}.{scale_name}": scale, f"{layer}.scale_input": scale.clone()}
    return result


def multiplied_out(weights: Weights, scale_name: str) -> Weights:
    plain = {}
    for name, each in weights.items():
        if "scale_input" in name or scale_name in name or name == "scaled_fp8":
            continue
        scale = weights.get(name.removesuffix("weight") + scale_name)
        plain[name] = each if each.dtype not in FP8 else each.float() * (1 if scale is None else scale)
    return plain


KINDS: dict[str, tuple[Callable[[Weights], Weights], str]] = {
    "e4m3": (in_fp8, "none"),
    "e5m2": (lambda weights: in_fp8(weights, E5M2), "none"),
    "scale_weight": (lambda weights: scaled(weights, "scale_weight"), "scale_weight"),
    "weight_scale": (lambda weights: scaled(weights, "weight_scale"), "weight_scale"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_file_in_fp8_paints_what_its_weights_multiplied_out_paint(
    folders: dict[str, Path], tmp_path: Path, family: str, kind: str
) -> None:
    """The converters of diffusers cut and join rows of fp8 weights and of their scales alike."""
    folder, models_dir = folders[family], tmp_path / "models"
    make, scale_name = KINDS[kind]
    weights = make(name_as_published(read_transformer(folder), family))
    save_file(weights, tmp_path / "small.safetensors")
    save_file(multiplied_out(weights, scale_name), tmp_path / "whole.safetensors")
    models = [add(models_dir, tmp_path / f"{name}.safetensors", config=str(folder)) for name in ("small", "whole")]
    pictures, facts = [], []
    for model in models:
        engine = Engine([model], EngineSettings(num_threads=1))
        end = paint(engine, an_order(a_spec(model=model.name, sampler="Euler", steps=2)))
        pictures.append(as_array(end))
        facts.append(end.storage)
    assert np.abs(pictures[0] - pictures[1]).max() <= 1, "weights elsewhere in memory may have other last bits"
    assert facts == [f"denoiser {'float8_e5m2' if kind == 'e5m2' else 'float8_e4m3fn'} 1", ""]
    here = Fingerprint({"torch": "2"})
    assert here.with_storage(facts[1]) == here
    (changed,) = here.with_storage(facts[0]).differences(here)
    assert str(changed) == f"weights {facts[0]} here, absent then"


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
@pytest.mark.parametrize("family", FAMILIES)
def test_pictures_of_fp8_weights_are_replayed_to_the_byte(
    folders: dict[str, Path], tmp_path: Path, family: str, dtype: str
) -> None:
    model = add(tmp_path / "models", folders[family], name="toy", storage="fp8")
    engine = Engine([model], EngineSettings(dtype=dtype, num_threads=1))
    rng = random.Random(dtype)
    orders = [
        an_order(
            a_spec(
                prompt=rng.choice(["a red cat", "blue", "a harbour in the fog, evening light"]),
                sampler=rng.choice(["Euler", "Euler a"]),
                steps=rng.randint(2, 4),
                guidance=rng.choice([1.0, 4.0]),
                seed=rng.randrange(2**32),
                **rng.choice([{}, {"start": a_start(strength=0.5)}]),
            ),
            image_id=f"{index}-0",
        )
        for index in range(8)
    ]
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels, order.spec


def test_storage_takes_half_and_little_is_lost(folders: dict[str, Path], tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    whole = add(models_dir, folders["zimage"], name="toy")
    model_defaults.set_defaults(models_dir, "toy", say=lambda line: None, storage="fp8")
    small = Catalog.open("toy", models_dir).default
    assert small.sha256 == whole.sha256, "its files are the same; the fingerprint says that they are kept otherwise"
    spec = a_spec(sampler="Euler", steps=4, guidance=1.0)
    ended = [paint(Engine([model], EngineSettings(num_threads=1)), an_order(spec)) for model in (whole, small)]
    difference = np.abs(as_array(ended[0]) - as_array(ended[1])).mean()
    assert 0 < difference < 4, f"the mean difference of fp8 to float32 is {difference:.2f} of 255"
    assert add(models_dir, folders["zimage"], name="toy", replaces=True).storage == "fp8", "as what else was set"
    assert loaded_bytes(small, 2) < 0.8 * loaded_bytes(whole, 2)
    model_defaults.set_defaults(models_dir, "toy", say=lambda line: None, storage="whole")
    assert Catalog.open("toy", models_dir).default.storage == ""


def test_what_is_stored_is_finite_and_near() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 32)
    layer = torch.nn.Sequential(linear)
    with torch.no_grad():
        linear.weight[0].zero_()
        linear.weight[1] *= 1e6  # far beyond what fp8 holds
    weight = linear.weight.detach().clone()
    store(layer)
    kept = layer[0]
    assert isinstance(kept, StoredLinear) and kept.weight.dtype is E4M3 and is_finite(kept.weight)
    ones = torch.eye(64)
    assert torch.allclose(kept(ones).T - kept.bias[:, None], weight, rtol=2**-4, atol=1e-3 * float(weight[2:].std()))


def test_numbers_that_are_not_finite_are_found_by_their_bits(tmp_path: Path) -> None:
    for kind, bits in ((E4M3, 0x7F), (E4M3, 0xFF), (E5M2, 0x7C), (E5M2, 0xFD)):
        good = torch.arange(0, 0x7C, dtype=torch.uint8)
        save_file({"w": good.view(kind)}, tmp_path / "good.safetensors")
        assert check_numbers(tmp_path / "good.safetensors") and is_finite(good.view(kind))
        bad = good.clone()
        bad[5] = bits
        save_file({"w": bad.view(kind)}, tmp_path / "bad.safetensors")
        with pytest.raises(ValueError, match="not finite"):
            check_numbers(tmp_path / "bad.safetensors")
        assert not is_finite(bad.view(kind))


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"layers.0.attention.qkv.absmax": (4,)}, "bitsandbytes, which computes on graphics cards only"),
        ({"layers.0.attention.qkv.wscales": (4,)}, "nunchaku, which computes on graphics cards only"),
        ({"layers.0.attention.qkv.weight_scale_2": (1,)}, "nvfp4"),
        ({"layers.0.attention.qkv.qweight": (4,)}, "GPTQ"),
        ({"layers.0.attention.qkv.comfy_quant": {"format": "nvfp4"}}, "nvfp4.*not read here"),
        (
            {"layers.0.attention.qkv.comfy_quant": {"format": "float8_e4m3fn", "convrot": True}},
            "convrot.*not read here",
        ),
        ({"layers.0.attention.qkv.weight_scale": (7,)}, "scales no weight in a way that is known here"),
        ({"layers.0.attention.more.scale_weight": (1,)}, "scales no weight in a way that is known here"),
    ],
    ids=str,
)
def test_what_is_not_applied_is_refused_by_name(
    folders: dict[str, Path], tmp_path: Path, extra: dict[str, Any], said: str
) -> None:
    weights = in_fp8(name_as_published(read_transformer(folders["zimage"]), "zimage"))
    more = {name: _a_note(each) if isinstance(each, dict) else torch.ones(each) for name, each in extra.items()}
    save_file(weights | more, tmp_path / "odd.safetensors")
    with pytest.raises(ConfigurationError, match=said):
        add(tmp_path / "models", tmp_path / "odd.safetensors", config=str(folders["zimage"]))


def _a_note(said: dict[str, Any]) -> Tensor:
    return torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)


def test_weights_in_whole_numbers_are_refused_and_a_note_of_fp8_is_not(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    weights = scaled(name_as_published(read_transformer(folders["zimage"]), "zimage"), "weight_scale")
    layer = "layers.0.attention.qkv"
    weights[f"{layer}.comfy_quant"] = _a_note({"format": "float8_e4m3fn"})
    save_file(weights, tmp_path / "noted.safetensors")
    assert add(tmp_path / "models", tmp_path / "noted.safetensors", config=str(folders["zimage"])).family == "zimage"
    weights[f"{layer}.weight"] = torch.ones(weights[f"{layer}.weight"].shape, dtype=torch.int8)
    del weights[f"{layer}.comfy_quant"]
    save_file(weights, tmp_path / "int8.safetensors")
    with pytest.raises(ConfigurationError, match="in whole numbers, which are not read here"):
        add(tmp_path / "models", tmp_path / "int8.safetensors", config=str(folders["zimage"]))


def test_storage_is_for_models_whose_family_takes_it(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a way to keep weights"):
        add(tmp_path / "models", folders["zimage"], storage="int3")
    vae = folders["zimage"] / "vae"
    with pytest.raises(ConfigurationError, match="--storage fp8 is for Z-Image"):
        add(tmp_path / "models", vae, storage="fp8")


def test_a_text_encoder_in_scaled_fp8_reads_as_its_weights_multiplied_out(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder, models_dir = folders["zimage"], tmp_path / "models"
    weights = load_file(save_text_encoder(folder, tmp_path / "qwen.safetensors"))
    small = scaled(weights, "scale_weight")
    pictures = []
    for name, each in (("small", small), ("whole", multiplied_out(small, "scale_weight"))):
        save_file(each, tmp_path / f"text-{name}.safetensors")
        add_part(models_dir, tmp_path / f"text-{name}.safetensors", config=str(folder))
        model = add(models_dir, folder, name=name, text_encoder=f"text-{name}")
        end = paint(Engine([model], EngineSettings(num_threads=1)), an_order(a_spec(model=name, sampler="Euler")))
        pictures.append(end.pixels)
        assert ("text_encoder float8_e4m3fn 1" in end.storage) == (name == "small")
    assert pictures[0] == pictures[1]


def test_a_checkpoint_in_scaled_fp8_is_multiplied_out_when_it_is_loaded(tmp_path: Path) -> None:
    folder, models_dir = save_toy(tmp_path / "toy"), tmp_path / "models"
    weights = load_file(save_checkpoint(folder, tmp_path / "plain.safetensors"))
    small = scaled(weights, "scale_weight")
    save_file(small, tmp_path / "small.safetensors")
    save_file(multiplied_out(small, "scale_weight"), tmp_path / "whole.safetensors")
    pictures = []
    for name in ("small", "whole"):
        model = add(models_dir, tmp_path / f"{name}.safetensors", config=str(folder))
        end = paint(Engine([model], EngineSettings(num_threads=1)), an_order(a_spec(model=name)))
        pictures.append(end.pixels)
        assert end.storage == "", "whole in memory: LoRA change these"
    assert pictures[0] == pictures[1]
