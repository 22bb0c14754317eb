"""FLUX.1 Kontext beside its stock pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from diffusers import FluxKontextPipeline
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.images.codec import decode_png
from generation.jobs.protocol import Finished
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import as_array, ends, paint, run, trace_of
from tests.generation.engine.test_editing import SQUARE, WIDE, an_edit
from tests.generation.engine.toy_flow import save_toy_kontext, toy_flow_model

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_kontext(tmp_path_factory.mktemp("kontext"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Engine:
    return Engine([toy_flow_model(folder, "kontext")], EngineSettings(num_threads=1))


@pytest.mark.parametrize("size_px", [WIDE, pytest.param(SQUARE, marks=pytest.mark.long)])
def test_an_edit_matches_the_stock_pipeline(engine: Engine, folder: Path, size_px: tuple[int, int]) -> None:
    stock = FluxKontextPipeline.from_pretrained(folder)
    stock.set_progress_bar_config(disable=True)
    order = an_edit(size_px, guidance=2.5, true_cfg=1.0, steps=3)
    rows, size = decode_png(order.reference_pngs[0])
    output = stock(
        image=PillowImage.frombytes("RGB", size, rows),
        prompt=order.spec.prompt,
        width=64,
        height=64,
        max_area=64 * 64,
        num_inference_steps=3,
        guidance_scale=2.5,
        generator=torch.Generator().manual_seed(order.spec.seed),
        output_type="np",
        _auto_resize=False,
    )
    theirs = (output.images[0] * 255).round().astype(int)
    assert np.abs(as_array(paint(engine, order)) - theirs).max() <= 1


def test_edits_and_plain_pictures_replay(engine: Engine) -> None:
    seen: tuple[list[tuple[int, int]], ...] = ([], [SQUARE], [SQUARE], [WIDE])
    usual: dict[str, Any] = {"true_cfg": 1.0, "steps": 2}
    orders = [an_edit(*sizes, image_id=f"a-{n}", seed=n, **usual) for n, sizes in enumerate(seen)]
    crowd = {name: end for name, end in ends(run(engine, *orders)).items() if isinstance(end, Finished)}
    assert trace_of(crowd["a-1"]).startswith("2x") and trace_of(crowd["a-3"]).startswith("1x")
    for order in orders:
        assert (
            paint(engine, msgspec.structs.replace(order, replay=crowd[order.image_id].trace)) == crowd[order.image_id]
        )
