"""What a model takes is counted when it is added, by its own networks, kept in the register and charged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from bench._random_model import save_toy_of
from cli import models as command
from generation.engine.counted_work import count_work
from generation.engine.devices import Device
from generation.engine.families import FAMILIES
from generation.engine.families.base import Family
from generation.engine.single_file import open_model
from generation.engine.slot import latent_shape
from generation.engine.trial import try_load
from generation.models.catalog import Catalog, Model
from generation.models.registry import ModelRegistry
from generation.requests.cost import STANDARD_OPERATIONS, WORK, image_cost
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.toy import toy_model

SIDE_PX = 128


def load(model: Model) -> Family:
    device = Device(torch.device("cpu"), torch.float32, 1)
    return FAMILIES[model.family](model, open_model(model), device, EngineSettings())


def count_for_real(model: Model, family: Family, prompt: str) -> dict[str, float]:
    """Compute on the processor, and count."""
    spec = ImageSpec.for_model(model, prompt=prompt, size_px=(SIDE_PX, SIDE_PX), guidance=1.0, seed=0)
    counted: dict[str, float] = {}

    def note(name: str, run: Any) -> Any:
        with torch.inference_mode(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
            result = run()  # the counter does not know the processor's own kernel of attention
        counted[name] = counter.get_total_flops() / STANDARD_OPERATIONS
        return result

    conditioning = note("text", lambda: family.condition(spec, family.tokenize(spec)))
    latents = torch.zeros(1, *latent_shape(family, (SIDE_PX, SIDE_PX)))
    note("step", lambda: family.denoise(latents, torch.zeros(1), conditioning))
    return counted


@pytest.mark.parametrize("name", ["sd", "zimage", pytest.param("sdxl", marks=pytest.mark.long), "klein"])
def test_a_count_without_weights_is_that_of_a_real_run(name: str, tmp_path: Path) -> None:
    model = toy_model(save_toy_of(name, tmp_path), family=name)
    family, prompt = load(model), "a harbour"
    real = count_for_real(model, family, prompt)
    counted = count_work(model, load(model), prompt=prompt)
    size = SIDE_PX**2 / 512**2
    step = counted.fixed + counted.linear * size + counted.quadratic * size**2
    assert step == pytest.approx(real["step"], rel=1e-3)
    assert counted.text == pytest.approx(real["text"], rel=1e-3)
    assert counted.decode > counted.encode > 0


def test_a_model_is_charged_what_was_counted_when_it_was_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A toy of XL costs what a toy takes, not what XL takes; one that was added before keeps its family's price."""

    def require_loadable(model: Model) -> Any:
        result = try_load(model)
        assert not result.problem
        return result.work

    monkeypatch.setattr(command, "require_loadable", require_loadable)
    folder, models_dir = save_toy_of("sdxl", tmp_path), tmp_path / "models"
    command.add(models_dir, str(folder), say=lambda line: None, name="small")
    [entry] = ModelRegistry.read(models_dir).entries
    model = Catalog.open("small", models_dir).default
    assert entry.work is not None and model.work == model.counted == entry.work
    spec = ImageSpec.for_model(model, prompt="a", size_px=(1024, 1024), seed=0)
    assert image_cost(spec, work=model.work) < image_cost(spec, work=WORK["sdxl"]) / 20

    path = models_dir / "models.json"
    said = json.loads(path.read_text())
    del said["entries"][0]["work"]
    path.write_text(json.dumps(said))
    assert Catalog.open("small", models_dir).default.work == WORK["sdxl"]


def test_a_model_that_cannot_be_counted_is_added_at_its_familys_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    model = toy_model(save_toy_of("sd", tmp_path), family="sd")
    monkeypatch.setattr("generation.engine.counted_work.count_work", lambda *of: 1 / 0)
    result = try_load(model)
    assert (result.problem, result.work) == ("", None)
    assert "action=count-failed error=ZeroDivisionError" in caplog.text
    assert model.work == WORK["sd"]
