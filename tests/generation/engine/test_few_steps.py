"""Models and LoRA for few steps are painted by their cards: a guess gives the pixels of the stock pipeline.

The scheduler of each card is built here as the card builds it, and not from the table of samplers.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LCMScheduler,
    StableDiffusionPipeline,
    TCDScheduler,
)

from generation.engine.engine import Engine
from generation.models.guess import Source, guess_defaults, guess_lora
from generation.requests.defaults import DefaultOverrides
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, paint
from tests.generation.engine.test_adapters import with_stock
from tests.generation.engine.test_stock import MAX_LEVELS_APART, load_stock
from tests.generation.engine.toy import toy_model
from tests.generation.engine.toy_extras import called, kohya_lora

TRAILING = {"timestep_spacing": "trailing"}
MODELS: Mapping[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "SDXL-Lightning 2step": (EulerDiscreteScheduler, TRAILING, {"num_inference_steps": 2, "guidance_scale": 0}),
    "SDXL-Lightning 4step": (EulerDiscreteScheduler, TRAILING, {"num_inference_steps": 4, "guidance_scale": 0}),
    "Hyper-SDXL-8steps": (DDIMScheduler, TRAILING, {"num_inference_steps": 8, "guidance_scale": 0}),
    "a Turbo": (EulerAncestralDiscreteScheduler, TRAILING, {"num_inference_steps": 4, "guidance_scale": 0}),
    "dreamshaperLCM 4 steps": (LCMScheduler, {}, {"num_inference_steps": 4, "guidance_scale": 1.5}),
}
LORAS: Mapping[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "latent-consistency/lcm-lora-sdv1-5": (LCMScheduler, {}, {"num_inference_steps": 4, "guidance_scale": 0}),
    "h1t/TCD-SD15-LoRA": (TCDScheduler, {}, {"num_inference_steps": 4, "guidance_scale": 0, "eta": 0.3}),
    "Hyper-SD15-1step-lora": (TCDScheduler, {}, {"num_inference_steps": 1, "guidance_scale": 0, "eta": 1.0}),
    "Hyper-SD15-4steps-lora": (DDIMScheduler, TRAILING, {"num_inference_steps": 4, "guidance_scale": 0}),
    "Hyper-SD15-8steps-CFG-lora": (DDIMScheduler, TRAILING, {"num_inference_steps": 8, "guidance_scale": 5}),
    "sdxl_lightning_8step_lora": (EulerDiscreteScheduler, TRAILING, {"num_inference_steps": 8, "guidance_scale": 0}),
}


def spec_of(chosen: DefaultOverrides, **rest: Any) -> ImageSpec:
    return a_spec(steps=chosen.steps, guidance=chosen.guidance, sampler=chosen.sampler, **rest)


def card_picture(
    stock: StableDiffusionPipeline, scheduler: Any, spec: ImageSpec, options: dict[str, Any]
) -> np.ndarray:
    pipeline = StableDiffusionPipeline(**stock.components | {"scheduler": scheduler}, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        width=spec.width_px,
        height=spec.height_px,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_painted_as_its_card_says(engine: Engine, toy_folder: Path, name: str) -> None:
    kind, settings, options = MODELS[name]
    stock, spec = load_stock(toy_folder), spec_of(guess_defaults("sd", [Source("its name", name)]).overrides)
    by_card = card_picture(stock, kind.from_config(stock.scheduler.config, **settings), spec, options)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - by_card).max() <= MAX_LEVELS_APART
    usual = as_array(paint(engine, an_order(a_spec(steps=spec.steps))))
    assert np.abs(usual - by_card).max() > MAX_LEVELS_APART, "the control: the usual settings give another picture"


@pytest.mark.parametrize("name", LORAS)
def test_a_lora_is_painted_as_its_card_says(toy_folder: Path, tmp_path: Path, name: str) -> None:
    kind, settings, options = LORAS[name]
    lora = kohya_lora(tmp_path / "fast.safetensors", seed=3)
    stock = with_stock(load_stock(toy_folder), [(lora, 1.0)])
    spec = spec_of(guess_lora("", [Source("its name", name)]).overrides, adapters=(called(lora),))
    by_card = card_picture(stock, kind.from_config(stock.scheduler.config, **settings), spec, options)
    engine = Engine([toy_model(toy_folder, loras=(lora,))], EngineSettings(num_threads=1))
    assert np.abs(as_array(paint(engine, an_order(spec))) - by_card).max() <= MAX_LEVELS_APART


@pytest.mark.parametrize("kind", [EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, LCMScheduler, TCDScheduler])
@pytest.mark.filterwarnings("ignore:The config attributes:UserWarning")
def test_the_scheduler_in_a_folder_tells_where_its_name_does_not(toy_folder: Path, tmp_path: Path, kind: Any) -> None:
    """As in the folders of SD-Turbo, SDXL-Turbo and LCM, under a name that says nothing."""
    folder = Path(shutil.copytree(toy_folder, tmp_path / "photo"))
    file = folder / "scheduler" / "scheduler_config.json"
    config = json.loads(file.read_text()) | {"_class_name": kind.__name__, **TRAILING}
    file.write_text(json.dumps(config))
    guess = guess_defaults("sd", [Source("its name", "photo")], scheduler=config)
    assert guess.overrides.steps and guess.overrides.steps <= 8 and guess.reasons
    stock, spec = load_stock(toy_folder), spec_of(guess.overrides)
    options = {"num_inference_steps": spec.steps, "guidance_scale": spec.guidance}
    options |= {"eta": 0.3} if kind is TCDScheduler else {}
    by_card = card_picture(stock, kind.from_config(config), spec, options)
    engine = Engine([toy_model(folder)], EngineSettings(num_threads=1))
    assert np.abs(as_array(paint(engine, an_order(spec))) - by_card).max() <= MAX_LEVELS_APART
