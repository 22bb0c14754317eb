"""Transformers in one file, their text encoder and VAE elsewhere: their folder's picture, and parts shared."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cli import models as command
from generation.engine.engine import Engine
from generation.engine.memory import loaded_bytes
from generation.engine.models import Models
from generation.engine.offload import PartOffloader, arrange
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog, Model
from generation.requests.defaults import Defaults
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, paint
from tests.generation.engine.toy_files import (
    PREFIX,
    name_as_published,
    read_transformer,
    save_text_encoder,
    save_vae,
)
from tests.generation.engine.toy_flow import SIDE_PX, save_toy_klein, save_toy_zimage
from tests.generation.engine.toy_qwen import save_toy_krea2, save_toy_qwenimage
from tests.generation.engine.trial_here import require_loadable_here

SAVE: dict[str, Callable[..., Path]] = {
    "zimage": save_toy_zimage,
    "klein": save_toy_klein,
    "qwenimage": save_toy_qwenimage,
    "krea2": save_toy_krea2,
}
DIALECTS = ("published", "prefixed", "diffusers")
CASES = [("zimage", dialect) for dialect in DIALECTS] + [
    ("klein", "published"),
    ("qwenimage", "prefixed"),
    *(pytest.param("klein", dialect, marks=pytest.mark.long) for dialect in DIALECTS[1:]),
    *(pytest.param("krea2", dialect, marks=pytest.mark.long) for dialect in DIALECTS),
    pytest.param("qwenimage", "diffusers", marks=pytest.mark.long),
]
"""The authors of Qwen-Image name layers as diffusers does."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: save(tmp_path_factory.mktemp(name), vae_width=32) for name, save in SAVE.items()}


def save_transformer(folder: Path, file: Path, *, family: str, dialect: str) -> Path:
    weights = read_transformer(folder)
    if dialect != "diffusers":
        weights = name_as_published(weights, family)
    prefix = PREFIX if dialect == "prefixed" else ""
    save_file({prefix + name: weight for name, weight in weights.items()}, file)
    return file


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def add(models_dir: Path, path: Path, **options: Any) -> str:
    said: list[str] = []
    command.add(models_dir, str(path), say=said.append, **options)
    return "\n".join(said)


def toy(models_dir: Path, name: str) -> Model:
    return Catalog.open(name, models_dir).default


def picture(*models: Model) -> bytes:
    engine = Engine(models, EngineSettings(num_threads=1))
    spec = a_spec(model=models[0].name, sampler="Euler", steps=2, width_px=SIDE_PX, height_px=SIDE_PX)
    return paint(engine, an_order(spec)).pixels


@pytest.mark.parametrize(("family", "dialect"), CASES)
def test_every_dialect_paints_what_its_folder_paints(
    folders: dict[str, Path], tmp_path: Path, family: str, dialect: str
) -> None:
    """Settings are derived from headers, names converted, parts read from files under the names of their authors."""
    folder, models_dir = folders[family], tmp_path / "models"
    add(models_dir, folder, name="whole")
    text = save_text_encoder(folder, tmp_path / "qwen.safetensors")
    add(models_dir, text, config=str(folder))
    vae = save_vae(folder, tmp_path / "ae.safetensors", family)
    file = save_transformer(folder, tmp_path / "paints.safetensors", family=family, dialect=dialect)
    add(models_dir, file, text_encoder="qwen", vae=str(vae))
    model = toy(models_dir, "paints")
    assert (model.family, model.text_encoder, model.vae) == (family, text, vae)
    assert picture(model) == picture(toy(models_dir, "whole"))


def test_parts_are_those_of_a_folder_that_is_named_for_the_settings(folders: dict[str, Path], tmp_path: Path) -> None:
    folder, models_dir = folders["zimage"], tmp_path / "models"
    file = save_transformer(folder, tmp_path / "fine-tune.safetensors", family="zimage", dialect="published")
    said = add(models_dir, file, config=str(folder))
    assert "reading every number" in said
    model = toy(models_dir, "fine-tune")
    assert (model.config, model.vae) == (folder, folder / "vae")
    assert model.text_encoder == folder / "text_encoder"


def test_a_text_encoder_of_two_models_is_in_memory_once(folders: dict[str, Path], tmp_path: Path) -> None:
    folder, models_dir = folders["zimage"], tmp_path / "models"
    add(models_dir, folder / "text_encoder", name="qwen")
    for name, dialect in (("first", "published"), ("second", "diffusers")):
        file = save_transformer(folder, tmp_path / f"{name}.safetensors", family="zimage", dialect=dialect)
        add(models_dir, file, text_encoder="qwen", vae=str(folder / "vae"))
    add(models_dir, folder, name="third", text_encoder="qwen")
    catalog = Catalog.open("first", models_dir)
    engine = Engine(catalog.models, EngineSettings(num_threads=1))
    families = [engine._models.get(name).family for name in ("first", "second", "third")]
    encoders = {id(family.text_encoders["text_encoder"]) for family in families}
    assert len(encoders) == 1
    assert families[0].vae is families[1].vae is not families[2].vae
    left = weakref.ref(families[0].text_encoders["text_encoder"])
    del families
    engine._models.let_go(keep=["third"])
    gc.collect()
    assert left() is not None, "a model that is in memory has it"
    engine._models.let_go(keep=[])
    gc.collect()
    assert left() is None


def test_a_shared_part_is_offloaded_with_every_model_that_has_it() -> None:
    """On `meta`, which every machine has, in the place of a graphics card."""
    shelf = PartOffloader(torch.device("meta"))
    shared, own = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for part in (shared, own, shared):
        shelf.keep(part)
    shared(torch.ones(1, 2, device="meta"))
    assert (shared.weight.device.type, own.weight.device.type) == ("meta", "cpu")
    gone = weakref.ref(shared)
    del shared, part
    gc.collect()
    assert gone() is None, "the shelf holds no part"
    own(torch.ones(1, 2, device="meta"))
    assert own.weight.device.type == "meta"


def test_room_is_made_for_what_is_not_in_memory(folders: dict[str, Path], tmp_path: Path) -> None:
    folder, models_dir = folders["zimage"], tmp_path / "models"
    add(models_dir, folder / "text_encoder", name="qwen")
    add(models_dir, folder, name="one", text_encoder="qwen")
    add(models_dir, folder, name="two", text_encoder="qwen")
    asked: list[int] = []

    class Watched(Models):
        def _make_room(self, wanted: int, keep: Any) -> None:
            asked.append(wanted)

    engine = Engine(Catalog.open("one", models_dir).models, EngineSettings(num_threads=1))
    watched = Watched(engine._models._models.values(), engine._device, EngineSettings())
    one, _ = watched.get("one"), watched.get("two")
    text = sum(each.numel() for each in one.family.text_encoders["text_encoder"].parameters())
    assert asked == [loaded_bytes(toy(models_dir, "two"), 4) - 4 * text], "the first was there from the start"


REFUSED: list[tuple[str, dict[str, tuple[int, ...]], str]] = [
    ("lumina", {"cap_embedder.1.weight": (8, 8), "x_embedder.weight": (8, 64)}, "Z-Image or Lumina"),
    (
        "flux2-dev",
        {
            "img_in.weight": (8, 8),
            "double_stream_modulation_img.lin.weight": (8, 8),
            "guidance_in.in_layer.weight": (8, 8),
        },
        "is FLUX.2 dev, which cannot be used here",
    ),
    ("t5", {"encoder.block.0.layer.0.SelfAttention.q.weight": (8, 8)}, "has names or shapes that no T5 has"),
    ("clip", {"text_model.encoder.layers.0.mlp.fc1.weight": (8, 8)}, "has names or shapes that no CLIP has"),
    ("qwen-vl", {"visual.blocks.0.attn.qkv.weight": (8, 8)}, "the half of a text encoder that sees pictures"),
    ("llama", {"model.embed_tokens.weight": (8, 8)}, "is a language model of another kind than those that are read"),
    ("wan-vae", {"encoder.conv_in.weight": (8, 3, 3, 3), "decoder.conv_in.weight": (8, 48, 3, 3)}, "VAE of 48 latent"),
    ("torso", {"x_pad_token": (1, 8), "x_embedder.weight": (8, 64)}, "its text encoder and its VAE are not named"),
]


@pytest.mark.parametrize(("name", "shapes", "said"), REFUSED, ids=[name for name, _, _ in REFUSED])
def test_other_files_are_refused_by_name(
    tmp_path: Path, name: str, shapes: dict[str, tuple[int, ...]], said: str
) -> None:
    save_file({tensor: torch.zeros(shape) for tensor, shape in shapes.items()}, tmp_path / f"{name}.safetensors")
    with pytest.raises(ConfigurationError, match=said):
        add(tmp_path / "models", tmp_path / f"{name}.safetensors")
    assert not (tmp_path / "models" / "models.json").exists()


def test_parts_that_do_not_fit_are_refused_when_added(folders: dict[str, Path], tmp_path: Path) -> None:
    zimage, klein, models_dir = folders["zimage"], folders["klein"], tmp_path / "models"
    file = save_transformer(zimage, tmp_path / "z.safetensors", family="zimage", dialect="published")
    text = save_text_encoder(zimage, tmp_path / "qwen.safetensors")
    flux_vae, own_vae = klein / "vae", zimage / "vae"
    paper = tmp_path / "paper"
    paper.mkdir()
    (paper / "config.json").write_text(json.dumps({"model_type": "bert"}))
    short = {name: each for name, each in read_transformer(zimage).items() if "cap_embedder" not in name}
    save_file(short, tmp_path / "short.safetensors")
    for path, options, said in (
        (file, {"vae": str(own_vae)}, "its text encoder is not named"),
        (file, {"text_encoder": "nothing", "vae": str(own_vae)}, "There is no text encoder “nothing”"),
        (file, {"text_encoder": str(own_vae), "vae": str(own_vae)}, "is a VAE, not a text encoder"),
        (file, {"text_encoder": str(zimage / "text_encoder"), "vae": str(flux_vae)}, "32 latent channels.*needs 16"),
        (text, {}, "no word list"),
        (text, {"config": str(paper)}, "no word list"),
        (text, {"vae": str(own_vae)}, "--vae is for models"),
        (zimage, {"prediction": "v"}, "--prediction is not for Z-Image"),
        (paper, {}, "is a part of a model"),
        (klein, {"text_encoder": str(zimage / "text_encoder"), "name": "k"}, "num_hidden_layers of 3, and .* needs 28"),
        (tmp_path / "short.safetensors", {"config": str(zimage)}, "no such transformer has"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            add(models_dir, path, **options)
    assert not [model for model in Catalog.open("paintbox", models_dir).models if model.name != "paintbox"]


def test_a_part_that_is_in_use_is_not_removed_and_one_that_is_gone_leaves_its_model_out(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    folder, models_dir = folders["zimage"], tmp_path / "models"
    text = save_text_encoder(folder, tmp_path / "qwen.safetensors")
    add(models_dir, text, config=str(folder))
    add(models_dir, folder, name="one", text_encoder="qwen")
    assert toy(models_dir, "one").defaults == Defaults(steps=28, guidance=5.0, sampler="Euler", native_px=1024)
    with pytest.raises(ConfigurationError, match="one uses it as its text encoder"):
        command.remove(models_dir, "qwen", say=lambda line: None)
    text.unlink()
    assert "is not there" in Catalog.open("paintbox", models_dir).left_out["one"]


@pytest.mark.parametrize("storage", ["", "fp8"])
def test_a_transformer_that_comes_layer_by_layer_paints_the_same_bytes(
    folders: dict[str, Path], tmp_path: Path, storage: str
) -> None:
    """What `layers` does on a graphics card, with the processor in its place."""
    add(tmp_path / "models", folders["zimage"], name="toy", storage=storage or None)
    model = toy(tmp_path / "models", "toy")
    engine = Engine([model], EngineSettings(num_threads=1))
    shelf = PartOffloader(torch.device("cpu"))
    family = engine._models.get("toy").family
    arrange(family, "layers", shelf)
    spec = a_spec(model="toy", sampler="Euler", steps=2, width_px=SIDE_PX, height_px=SIDE_PX)
    assert paint(engine, an_order(spec)).pixels == picture(model)
    family.text_encoders["text_encoder"](input_ids=torch.ones(1, 1, dtype=torch.long))
    assert shelf._at_work is not None
    beside: list[Any] = []
    family.denoiser.t_embedder.register_forward_pre_hook(lambda *_: beside.append(shelf._at_work))
    paint(engine, an_order(spec))
    assert beside == [None] * 2, "the text encoder left when steps began"
