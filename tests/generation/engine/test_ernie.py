"""ERNIE-Image beside its stock pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ErnieImagePipeline

from generation.engine.engine import Engine
from generation.jobs.protocol import Finished
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, ends, paint, run, trace_of
from tests.generation.engine.toy_ernie import save_toy_ernie
from tests.generation.engine.toy_flow import toy_flow_model

LONG = "a harbour in the fog, evening light over the water, and a small red boat"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_ernie(tmp_path_factory.mktemp("ernie"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "ernie")], EngineSettings(num_threads=1))


@pytest.fixture(scope="module")
def stock(folder: Path) -> ErnieImagePipeline:
    pipeline = ErnieImagePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def ernie_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler"} | changes)


def stock_picture(stock: ErnieImagePipeline, spec: ImageSpec) -> np.ndarray:
    output = stock(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        width=spec.width_px,
        height=spec.height_px,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        use_pe=False,
    )
    return (np.asarray(output.images[0]) * 255).round().astype(int)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"guidance": 1.0},
        {"prompt": LONG, "negative": ""},
        {"prompt": LONG, "width_px": 96, "steps": 3},
    ],
    ids=str,
)
def test_ernie_matches_the_stock_pipeline(engine: Engine, stock: ErnieImagePipeline, changes: dict[str, Any]) -> None:
    """To one of 255 levels, without the model that writes prompts again."""
    spec = ernie_spec(**changes)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(stock, spec)).max() <= 1
    other = as_array(paint(engine, an_order(ernie_spec(**changes | {"prompt": "another"}))))
    assert np.abs(ours - other).max() > 1, "the control: other words are another picture"


def test_prompts_of_one_padded_length_share_a_forward(engine: Engine) -> None:
    orders = [an_order(ernie_spec(prompt=each, guidance=1.0), image_id=f"{len(each)}-0") for each in ("a", "ab", LONG)]
    together = ends(run(engine, *orders))
    traces = [trace_of(together[order.image_id]) for order in orders]
    assert traces == ["2x4", "2x4", "1x4"]


def test_replayed_alone_pictures_that_shared_forwards_have_the_same_bytes(engine: Engine) -> None:
    """Two guided and one not, with words of several lengths."""
    changes: list[dict[str, Any]] = [
        {},
        {"prompt": "a", "negative": ""},
        {"prompt": "blue", "guidance": 1.0, "seed": 8},
    ]
    orders = [an_order(ernie_spec(**each, steps=2), image_id=f"{index}-0") for index, each in enumerate(changes)]
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished) and end.trace != paint(engine, an_order(order.spec)).trace
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels
