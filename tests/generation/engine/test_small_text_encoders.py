"""Text encoders in GGUF and fp8: as their weights multiplied out, exact in company, shared, refused when not whole."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType as Kind
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen3Config, Qwen3Model

from cli import models as command
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.gguf_weights import GgufEmbedding, GgufLinear, expand, take_gguf
from generation.engine.loading import load_language
from generation.engine.memory import loaded_bytes
from generation.engine.offload import PartOffloader
from generation.engine.stored_weights import StoredEmbedding, StoredLinear
from generation.errors import ConfigurationError
from generation.jobs.protocol import Finished
from generation.models.catalog import Catalog
from generation.models.part_settings import read_text_settings
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run
from tests.generation.engine.toy_flow import save_toy_klein, save_toy_zimage
from tests.generation.engine.toy_text import DIALECTS, E4M3, name_in_gguf, plain_values, read_text, save_gguf_text
from tests.generation.engine.trial_here import require_loadable_here

SAVE: dict[str, Callable[..., Path]] = {"zimage": save_toy_zimage, "klein": save_toy_klein}
HERE = Device(torch.device("cpu"), torch.float32, 1)
IDS = torch.tensor([[65, 3, 90, 65, 200, 17, 4]])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name)) for name, save in SAVE.items()}


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def add(models_dir: Path, path: Path, **options: Any) -> None:
    command.add(models_dir, str(path), say=lambda line: None, **options)


@torch.inference_mode()
def states(encoder: Any) -> Tensor:
    found: Tensor = torch.stack(encoder(input_ids=IDS, output_hidden_states=True).hidden_states)
    return found


def whole(weights: dict[str, Tensor], settings: Path) -> Any:
    model = Qwen3Model(Qwen3Config.from_pretrained(settings)).eval()
    model.load_state_dict(weights)
    return model


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_reads_as_its_weights_multiplied_out(
    folders: dict[str, Path], tmp_path: Path, dialect: str
) -> None:
    """The settings are those that the header tells, so they are right too."""
    folder = folders["zimage"]
    save, tolerance = DIALECTS[dialect]
    file = save(read_text(folder), tmp_path / "text")
    small = load_language(Qwen3Model, file, HERE)
    made = states(small)
    same = states(whole(plain_values(file), folder / "text_encoder"))
    original = states(whole(read_text(folder), folder / "text_encoder"))
    off = float((made - original).norm() / original.norm())
    assert torch.allclose(made, same, atol=1e-5)
    assert 0 < off < tolerance, f"{dialect}: {off:.4f} of the size of the states of whole weights"
    kinds = {type(each) for each in small.modules()}
    if dialect != "gguf BF16":
        assert kinds & {StoredLinear, GgufLinear} and kinds & {StoredEmbedding, GgufEmbedding}


def test_a_folder_in_scaled_fp8_is_scaled_too(folders: dict[str, Path], tmp_path: Path) -> None:
    """Its library would leave the scales out, and say nothing."""
    folder = tmp_path / "text"
    shutil.copytree(folders["zimage"] / "text_encoder", folder)
    file = DIALECTS["e4m3 scale_weight"][0](read_text(folders["zimage"]), folder / "model")
    settings = folders["zimage"] / "text_encoder"
    assert torch.equal(
        states(load_language(Qwen3Model, folder, HERE)), states(load_language(Qwen3Model, file, HERE, settings))
    )


@pytest.mark.parametrize("kind", [Kind.Q4_K, Kind.Q6_K, Kind.Q8_0])
def test_words_are_multiplied_out_row_by_row(tmp_path: Path, kind: Kind) -> None:
    file = tmp_path / "x.gguf"
    _save_drawn_blocks(file, kind)
    weight = take_gguf(file)["w"]
    ids = torch.tensor([[3, 0], [3, 4]])
    assert torch.equal(GgufEmbedding(weight, torch.bfloat16)(ids), expand(weight, torch.bfloat16)[ids])


def _save_drawn_blocks(file: Path, kind: Kind) -> None:
    import gguf
    import numpy as np

    from generation.models.gguf_header import FORMATS

    form, rng = FORMATS[kind], np.random.default_rng(0)
    blocks = rng.integers(0, 256, (10, form.size), np.uint8)
    for at in form.scales:
        blocks[:, at : at + 2] = rng.uniform(0.01, 1, (10, 1)).astype("<f2").view(np.uint8)
    writer = gguf.GGUFWriter(str(file), arch="qwen3")
    writer.add_tensor("w", blocks.reshape(5, -1), raw_dtype=kind)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file):
        step()
    writer.close()


def _replay(folder: Path, tmp_path: Path, *, dialect: str, dtype: str, count: int) -> None:
    """Paint in company, then alone. The text encoder is added by itself, and two models share it."""
    models_dir = tmp_path / "models"
    file = DIALECTS[dialect][0](read_text(folder), tmp_path / "text")
    add(models_dir, file, config=str(folder))
    for name in ("first", "second"):
        add(models_dir, folder, name=name, text_encoder="text")
    models = Catalog.open("first", models_dir).models
    engine = Engine(models, EngineSettings(dtype=dtype, num_threads=1))
    rng = random.Random(dtype)
    orders = [
        an_order(
            a_spec(
                model=rng.choice(["first", "second"]),
                prompt=rng.choice(["a red cat", "blue", "a harbour in the fog, evening light"]),
                sampler="Euler",
                steps=2,
                guidance=rng.choice([1.0, 4.0]),
                seed=rng.randrange(2**32),
            ),
            image_id=f"{index}-0",
        )
        for index in range(count)
    ]
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        assert "text_encoder " in end.storage
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels, order.spec
    first, second = (engine._models.get(name).family.text_encoders["text_encoder"] for name in ("first", "second"))
    assert first is second
    whole_text = loaded_bytes(Catalog.open("first", models_dir).default, 2)
    add(models_dir, folder, name="third")
    assert whole_text < loaded_bytes(Catalog.open("third", models_dir).default, 2)


def test_pictures_are_replayed_to_the_byte(folders: dict[str, Path], tmp_path: Path) -> None:
    """Of the other families, dialects and number formats in the long form."""
    _replay(folders["zimage"], tmp_path, dialect="gguf Q4_0", dtype="float32", count=4)


@pytest.mark.long
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("family", SAVE)
def test_pictures_of_every_dialect_are_replayed_to_the_byte(
    folders: dict[str, Path], tmp_path: Path, family: str, dialect: str, dtype: str
) -> None:
    if dialect == "gguf BF16":
        pytest.skip("whole in memory")
    _replay(folders[family], tmp_path, dialect=dialect, dtype=dtype, count=12)


@pytest.mark.parametrize("dialect", ["gguf Q5_1", "e4m3 weight_scale"])
def test_an_encoder_that_leaves_the_device_comes_back_as_it_was(
    folders: dict[str, Path], tmp_path: Path, dialect: str
) -> None:
    """A copy of every tensor is what a move is; on `meta` in the place of a graphics card, all of it moves."""
    file = DIALECTS[dialect][0](read_text(folders["zimage"]), tmp_path / "text")
    encoder, kept = load_language(Qwen3Model, file, HERE), load_language(Qwen3Model, file, HERE)
    before = states(encoder)
    encoder._apply(lambda tensor: tensor.clone())
    assert torch.equal(states(encoder), before)
    shelf = PartOffloader(torch.device("meta"))
    shelf.keep(kept)
    shelf.fetch(kept)
    places = {each.device.type for each in (*kept.parameters(), *kept.buffers())}
    assert places == {"meta"}
    kinds = {type(each) for each in kept.modules()}
    assert kinds & {StoredEmbedding, GgufEmbedding}


def _without(weights: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: each for name, each in weights.items() if part not in name}


def test_gguf_of_other_kinds_and_parts_of_one_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    weights, models_dir = read_text(folders["zimage"]), tmp_path / "models"
    narrow = weights | {"layers.1.mlp.up_proj.weight": torch.zeros(32, 64)}
    cases: list[tuple[str, dict[str, Tensor], str]] = [
        ("llama", weights, "architecture 'llama' in GGUF"),
        ("qwen2", weights, "architecture 'qwen2' in GGUF"),
        (
            "t5encoder",
            {f"enc.blk.{name}": each for name, each in weights.items()},
            "shapes that no T5 has",
        ),
        ("qwen3", _without(weights, "layers.1.mlp.up"), "lacks 1 weights of a Qwen3, among them layers.1.mlp.up_proj"),
        ("qwen3", _without(weights, "embed_tokens"), "no Qwen3 has"),
        ("qwen3", _without(weights, "q_norm"), "no Qwen3 has"),
        ("qwen3", narrow, r"up_proj.weight of \(32, 64\), where \(64, 64\) fits"),
    ]
    for index, (arch, each, said) in enumerate(cases):
        file = save_gguf_text(each, tmp_path / f"{index}.gguf", Kind.Q8_0, arch=arch)
        with pytest.raises(ConfigurationError, match=said) as refused:
            add(models_dir, file, config=str(folders["zimage"]))
        assert "\n" not in str(refused.value)
    file = save_gguf_text(weights, tmp_path / "odd.gguf", Kind.Q8_0)
    mark = name_in_gguf("layers.0.mlp.up_proj.weight").encode()
    data = bytearray(file.read_bytes())
    at = data.index(mark) + len(mark) + 4 + 2 * 8  # behind the rank and two sides
    data[at : at + 4] = (39).to_bytes(4, "little")
    file.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"type that is not read here \(blk.0.ffn_up.weight: 39\)"):
        add(models_dir, file, config=str(folders["zimage"]))
    assert not (models_dir / "models.json").exists()


def _noted(weights: dict[str, Tensor], said: dict[str, Any]) -> dict[str, Tensor]:
    return weights | {
        "layers.0.mlp.up_proj.comfy_quant": torch.tensor(list(json.dumps(said).encode()), dtype=torch.uint8)
    }


def test_what_is_not_applied_is_refused_when_the_encoder_is_added(folders: dict[str, Path], tmp_path: Path) -> None:
    weights, models_dir = read_text(folders["zimage"]), tmp_path / "models"
    up = "layers.0.mlp.up_proj."
    small = weights | {f"{up}weight": weights[f"{up}weight"].to(E4M3)}
    cases: list[tuple[dict[str, Tensor], str]] = [
        (small | {f"{up}weight_scale": torch.ones(7)}, "scales no weight in a way that is known here"),
        (small | {"layers.0.mlp.more.scale_weight": torch.ones(1)}, "scales no weight in a way that is known here"),
        (_noted(small, {"format": "nvfp4"}), "nvfp4.*not read here"),
        (weights | {f"{up}weight": torch.ones(64, 64, dtype=torch.int8)}, "in whole numbers"),
        (weights | {f"{up}absmax": torch.ones(4)}, "bitsandbytes"),
        (weights | {f"{up}weight_scale_inv": torch.ones(4)}, "blocks of fp4 or fp8"),
        (_without(weights, "layers.2.self_attn.k_proj"), "lacks 1 weights of a Qwen3"),
    ]
    for index, (each, said) in enumerate(cases):
        save_file(each, tmp_path / f"{index}.safetensors")
        with pytest.raises(ConfigurationError, match=said):
            add(models_dir, tmp_path / f"{index}.safetensors", config=str(folders["zimage"]))
    folder = tmp_path / "quantised"
    shutil.copytree(folders["zimage"] / "text_encoder", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": "fp8"}}))
    with pytest.raises(ConfigurationError, match="text encoder that is quantised by fp8, which is not read here"):
        add(models_dir, folder, config=str(folders["zimage"]))
    assert not (models_dir / "models.json").exists()


def test_numbers_that_no_shape_tells_are_those_of_the_file(folders: dict[str, Path], tmp_path: Path) -> None:
    file = save_gguf_text(read_text(folders["zimage"]), tmp_path / "x.gguf", Kind.Q8_0)
    settings = read_text_settings(file)
    assert (settings["rope_theta"], settings["num_hidden_layers"]) == (1_000_000.0, 3)
    assert settings["rms_norm_eps"] == pytest.approx(1e-6)
    save_file(load_file(folders["zimage"] / "text_encoder" / "model.safetensors"), tmp_path / "x.safetensors")
    assert {**read_text_settings(tmp_path / "x.safetensors"), "rms_norm_eps": 0} == {**settings, "rms_norm_eps": 0}
