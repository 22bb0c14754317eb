"""Krea 2 beside its stock pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import Krea2Pipeline, Krea2Transformer2DModel
from safetensors.torch import save_file

from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.families.krea2 import Krea2
from generation.engine.loading import fill_transformer
from generation.jobs.protocol import Finished
from generation.models.catalog import Catalog
from generation.models.layout import ModelRefusedError
from generation.models.safetensors_header import read_tensors
from generation.models.transformer_file import derive_transformer, find_family
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, ends, paint, run
from tests.generation.engine.toy_files import PREFIX, name_as_published, read_transformer
from tests.generation.engine.toy_flow import toy_flow_model
from tests.generation.engine.toy_qwen import save_toy_krea2

LONG = "a harbour in the fog, evening light over the water, and a small red boat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_krea2(tmp_path_factory.mktemp("krea2"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "krea2")], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def stock(folder: Path) -> Krea2Pipeline:
    pipeline = Krea2Pipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def krea_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler", "steps": 2} | changes)


def stock_picture(stock: Krea2Pipeline, spec: ImageSpec) -> np.ndarray:
    """The stock pipeline's guidance is ours less 1, and 0 is off."""
    output = stock(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance - 1,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize(
    "changes",
    [
        {"negative": "blurry", "steps": 1},
        pytest.param({"prompt": LONG, "negative": "blurry"}, marks=pytest.mark.long),
        pytest.param({"width_px": 96, "guidance": 1.0}, marks=pytest.mark.long),
        pytest.param({"prompt": "x" * 700, "steps": 1, "guidance": 1.0}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_krea2_matches_the_stock_pipeline(engine: Engine, stock: Krea2Pipeline, changes: dict[str, Any]) -> None:
    """To one of 255 levels. The longest of these prompts is cut, and the end of the template is not."""
    spec = krea_spec(**changes)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(stock, spec)).max() <= 1
    other = as_array(paint(engine, an_order(krea_spec(**changes | {"prompt": "another"}))))
    assert np.abs(ours - other).max() > 1, "the control: other words are another picture"


def test_a_distilled_model_has_one_shift_for_all_sizes(folder: Path, engine: Engine, tmp_path: Path) -> None:
    family = engine._models.get("toy").family
    assert isinstance(family, Krea2)
    small, large = (family.compute_mu(krea_spec(), (side_px, side_px)) for side_px in (64, 1024))
    assert small < large < 1.15
    family._is_distilled = True
    assert family.compute_mu(krea_spec(), (64, 64)) == 1.15
    family._is_distilled = False
    usual = Catalog.open(str(folder)).default.defaults
    assert (usual.steps, usual.guidance) == (28, 5.5)
    index = folder / "model_index.json"
    kept = index.read_text()
    index.write_text(json.dumps(json.loads(kept) | {"is_distilled": True}))
    distilled = Catalog.open(str(folder)).default.defaults
    index.write_text(kept)
    assert (distilled.steps, distilled.guidance) == (8, 1.0)


def test_rows_without_an_image_are_numbers(engine: Engine) -> None:
    """Nothing of their text is there, so nothing could be attended to."""
    family = engine._models.get("toy").family
    spec = krea_spec(prompt="a", guidance=1.0)
    with torch.inference_mode():
        given = family.condition(spec, family.tokenize(spec))
        empty = {name: torch.cat([row, torch.zeros_like(row)]) for name, row in given.items()}
        predicted = family.denoise(torch.randn(2, 16, 8, 8), torch.tensor([500.0, 0.0]), empty)
    assert bool(torch.isfinite(predicted).all())


def test_the_tokens_are_those_of_the_stock_template(engine: Engine, stock: Krea2Pipeline) -> None:
    family = engine._models.get("toy").family
    words = family.tokenize(krea_spec(prompt=LONG))
    states, mask = stock.get_text_hidden_states(LONG)
    assert words.key == states.shape[1]
    with torch.inference_mode():
        given = family.condition(
            krea_spec(prompt=LONG, guidance=1.0), family.tokenize(krea_spec(prompt=LONG, guidance=1.0))
        )
    assert torch.equal(given["encoder_attention_mask"], mask)
    seen = given["encoder_hidden_states"][mask]
    assert torch.equal(seen, states[mask])


@pytest.mark.parametrize("prefix", ["", PREFIX])
def test_a_file_under_its_authors_names_is_the_transformer_of_the_folder(
    folder: Path, tmp_path: Path, prefix: str
) -> None:
    weights, file = name_as_published(read_transformer(folder), "krea2"), tmp_path / "x.safetensors"
    save_file({f"{prefix}{name}": weight.contiguous() for name, weight in weights.items()}, file)
    shapes = read_tensors(file).shapes
    settings = json.loads((folder / "transformer" / "config.json").read_text())
    assert find_family(shapes) == "krea2"
    derived = derive_transformer(shapes, "krea2")
    assert derived == {name: settings[name] for name in derived}
    here = Device(torch.device("cpu"), torch.bfloat16, 1)
    made = fill_transformer(Krea2Transformer2DModel, file, folder / "transformer", here, "")
    whole = Krea2Transformer2DModel.from_pretrained(folder / "transformer", torch_dtype=torch.bfloat16)
    expected = whole.state_dict()
    assert made.state_dict().keys() == expected.keys()
    for name, weight in made.state_dict().items():
        assert weight.dtype is expected[name].dtype and torch.equal(weight, expected[name]), name
    assert {weight.dtype for weight in expected.values()} == {torch.bfloat16, torch.float32}, "norms are precise"


def test_layers_that_the_encoder_has_not_are_refused(folder: Path, tmp_path: Path) -> None:
    index = folder / "model_index.json"
    kept = index.read_text()
    index.write_text(json.dumps(json.loads(kept) | {"text_encoder_select_layers": [1, 2, 99]}))
    try:
        with pytest.raises(ModelRefusedError, match="a text encoder of 36 layers, where 12 are read"):
            Engine([toy_flow_model(folder, "krea2")], EngineSettings(num_threads=1))
    finally:
        index.write_text(kept)


def test_replayed_alone_pictures_that_shared_forwards_have_the_same_bytes(engine: Engine) -> None:
    """One guided and one not."""
    changes: list[dict[str, Any]] = [{}, {"guidance": 1.0, "seed": 8}]
    orders = [an_order(krea_spec(**each, steps=1), image_id=f"{index}-0") for index, each in enumerate(changes)]
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished) and end.trace != paint(engine, an_order(order.spec)).trace
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels
