"""Folders of flow models: taken by what their settings say, refused in a sentence where parts do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from cli import models as command
from generation.errors import ConfigurationError, InvalidRequestError
from generation.models.catalog import Catalog, Model
from generation.models.families import FAMILIES
from generation.models.samplers import check_defaults
from generation.models.sizes import parse_size
from generation.requests.defaults import DefaultOverrides
from generation.requests.prompt_addons import read_prompts
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.new_job import require_paintable
from tests.generation.engine.toy_flow import save_toy_klein, save_toy_zimage

TURBO = "Z-Image-Turbo"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_zimage(tmp_path_factory.mktemp("zimage"))


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    tmp_path = tmp_path_factory.mktemp("models")
    said: list[str] = []
    command.add(tmp_path / "models", str(folder), name=TURBO, say=said.append)
    assert "its name says Turbo" in "\n".join(said)
    return Catalog.open(TURBO, tmp_path / "models").default


def request_of(model: Model, **changes: Any) -> GenerationRequest:
    return GenerationRequest(spec=ImageSpec.for_model(model, prompt="a harbour", seed=1, **changes))


def test_a_folder_is_known_by_its_pipeline_and_painted_as_its_name_says(model: Model) -> None:
    assert (model.family, model.info.title, model.samplers) == ("zimage", "Z-Image", ("Euler a", "Euler", "LCM"))
    spec = ImageSpec.for_model(model, prompt="a harbour", seed=1)
    assert (spec.steps, spec.guidance, spec.sampler, spec.width_px) == (8, 1.0, "Euler", 1024)
    assert parse_size(model, "700x700") == (704, 704)
    require_paintable(request_of(model), Catalog((model,)))


def test_what_it_cannot_do_is_refused_before_anything_is_painted(model: Model) -> None:
    for changes, said in (
        ({"sampler": "DDIM"}, "DDIM.*Euler a, Euler, LCM"),
        ({"size_px": (1024, 1000)}, "multiples of 16 pixels"),
        ({"clip_skip": 2}, "at most 1"),
    ):
        with pytest.raises(InvalidRequestError, match=said):
            require_paintable(request_of(model, **changes), Catalog((model,)))
    with pytest.raises(InvalidRequestError, match="LoRA"):
        read_prompts(model, "a harbour <lora:anything>")
    with pytest.raises(InvalidRequestError, match="does not work with the model"):
        check_defaults(model.with_defaults(DefaultOverrides(sampler="Heun")))


@pytest.mark.parametrize(("blocks", "family"), [(1, "klein"), (8, "klein9b")])
def test_the_sizes_of_klein_are_told_apart_and_its_base_is_not_distilled(
    tmp_path: Path, blocks: int, family: str
) -> None:
    folder = save_toy_klein(tmp_path)
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"num_layers": blocks}))
    found = Catalog.open(str(folder)).default
    assert found.family == family
    assert (found.defaults.steps, found.defaults.guidance) == (28, 4.0), "the toy says that it is not distilled"
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"is_distilled": True}))
    distilled = Catalog.open(str(folder)).default
    assert (distilled.defaults.steps, distilled.defaults.guidance, distilled.defaults.sampler) == (4, 1.0, "Euler")
    assert distilled.work == FAMILIES[family].work


@pytest.mark.parametrize(
    ("part", "changes", "said"),
    [
        ("transformer", {"in_channels": 4}, "takes 4 channels, not 16"),
        ("transformer", {"cap_feat_dim": 32}, "its text is 64 numbers a token wide, its transformer reads 32"),
        ("vae", {"latent_channels": 4}, "VAE of 4 latent channels, not 16"),
        ("text_encoder", {"vocab_size": 100}, "more words"),
        ("scheduler", {"_class_name": "DDIMScheduler"}, "describes another kind of model"),
        ("scheduler", {"use_karras_sigmas": True}, "sets use_karras_sigmas to true"),
        ("scheduler", {"shift": 0}, "must be from 0.01 to 100"),
        ("scheduler", {"max_image_seq_len": 256}, "no more than base_image_seq_len"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused_when_added(
    folder: Path, tmp_path: Path, part: str, changes: dict[str, Any], said: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    file = copy / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(ConfigurationError, match=said):
        command.add(tmp_path / "models", str(copy), name="z", say=lambda line: None)
    assert not (tmp_path / "models" / "models.json").exists()
