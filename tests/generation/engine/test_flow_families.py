"""Every family that is trained by flow matching: exact in a batch, and polite about what it cannot do."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ChromaPipeline,
    ErnieImagePipeline,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchLCMScheduler,
    Flux2KleinPipeline,
    FluxPipeline,
    Krea2Pipeline,
    QwenImagePipeline,
    StableDiffusion3Pipeline,
    ZImagePipeline,
)
from msgspec import UNSET

from generation.engine.engine import Engine
from generation.engine.language_text import MAX_TOKENS
from generation.engine.samplers import build_flow_scheduler
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed
from generation.models.families import FAMILIES
from generation.requests.edits import Hires, Margins, Variation
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy_ernie import save_toy_ernie
from tests.generation.engine.toy_flow import (
    save_toy_chroma,
    save_toy_flux,
    save_toy_klein,
    save_toy_sd3,
    save_toy_zimage,
    toy_flow_model,
)
from tests.generation.engine.toy_qwen import save_toy_krea2, save_toy_qwenimage

TOYS: dict[str, Callable[[Path], Path]] = {
    "zimage": save_toy_zimage,
    "klein": save_toy_klein,
    "qwenimage": save_toy_qwenimage,
    "flux": save_toy_flux,
    "chroma": save_toy_chroma,
    "sd3": save_toy_sd3,
    "krea2": save_toy_krea2,
    "ernie": save_toy_ernie,
}
ELSEWHERE = {"chroma", "sd3", "krea2", "ernie"}
"""Those with a short form of this in the file where they are beside their stock pipelines."""
STOCK: dict[str, Any] = {
    "krea2": Krea2Pipeline,
    "ernie": ErnieImagePipeline,
    "zimage": ZImagePipeline,
    "klein": Flux2KleinPipeline,
    "qwenimage": QwenImagePipeline,
    "flux": FluxPipeline,
    "chroma": ChromaPipeline,
    "sd3": StableDiffusion3Pipeline,
}
UNGUIDED: dict[str, Any] = {
    "krea2": {"guidance_scale": 0},
    "ernie": {"guidance_scale": 1},
    "zimage": {"guidance_scale": 0},
    "klein": {"guidance_scale": 1},
    "qwenimage": {"true_cfg_scale": 1},
    "flux": {"guidance_scale": 1},
    "chroma": {"guidance_scale": 1},
    "sd3": {"guidance_scale": 1},
}
LONG = "a harbour in the fog, evening light over the water, and a small red boat"


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=[pytest.mark.long] * (each in ELSEWHERE)) for each in TOYS]
)
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TOYS[family](tmp_path_factory.mktemp(family))


@pytest.fixture(scope="module")
def engine(folder: Path, family: str) -> Engine:
    return Engine([toy_flow_model(folder, family)], EngineSettings(num_threads=1))


def flow_spec(**changes: Any) -> ImageSpec:
    return a_spec(**{"sampler": "Euler"} | changes)


def some_orders(rng: random.Random, number: int, family: str) -> list[GenerateCommand]:
    kinds = {
        "words": {},
        "variation": {"variation": Variation(seed=9, strength=0.4)},
        "start": {"start": a_start(strength=0.5)},
        "mask": {"start": a_start(mask=True)},
        "outpaint": {"start": a_start(strength=1.0, margins=Margins(left=16))},
        "hires": {"hires": Hires(factor=2.0)},
    }
    return [
        an_order(
            flow_spec(
                prompt=rng.choice(["a red cat", "blue", LONG, f"[a red cat:{LONG}:0.5]"]),
                negative=rng.choice(["", "dog", LONG, f"[dog|{LONG}]"]),
                syntax=3,
                sampler=rng.choice(["Euler", "Euler a", "LCM"]),
                steps=rng.randint(2, 5),
                guidance=rng.choice([1.0, 4.0]),
                seed=rng.randrange(2**32),
                true_cfg=rng.choice([1.0, 2.0]) if FAMILIES[family].defaults.embeds_guidance else UNSET,
                **rng.choice(list(kinds.values())),  # type: ignore[arg-type]
            ),
            image_id=f"{number}-{index}",
            num_previews=rng.choice([0, 2]),
        )
        for index in range(number)
    ]


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_replayed_alone_every_picture_of_a_crowd_has_the_same_bytes(folder: Path, family: str, dtype: str) -> None:
    engine = Engine([toy_flow_model(folder, family)], EngineSettings(dtype=dtype, num_threads=1))
    orders = some_orders(random.Random(dtype), 8, family)
    crowded = ends(run(engine, *orders))
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        assert paint(engine, an_order(order.spec, replay=end.trace)).pixels == end.pixels, order.spec


def test_the_end_of_a_prompt_that_is_not_read_is_named(engine: Engine, family: str) -> None:
    words = engine._models.get("toy").family.tokenize(flow_spec(prompt="a" * 600 + " end"))
    of_the_template = {"krea2": 29}.get(family, getattr(words, "unseen", 0))
    most = 256 if family == "sd3" else MAX_TOKENS  # as its stock pipeline has it
    assert len(words.read[-1].ids) == most + of_the_template
    assert words.dropped.endswith("a end")
    assert 80 < len(words.dropped) < 812 - most
    assert paint(engine, an_order(flow_spec(prompt="a" * 600 + " end"))).dropped.endswith("end")


@pytest.mark.parametrize(
    ("prompt", "before", "after"),
    [
        ("[a red cat:" + LONG + ":0.5]", "a red cat", LONG),
        (r"a (red:1.3) [cat] \(x\) BREAK b", r"a (red:1.3) [cat] \(x\) BREAK b", ""),
    ],
    ids=["an edit", "what are weights elsewhere"],
)
def test_words_change_by_steps_and_else_are_read_as_they_stand(
    engine: Engine, folder: Path, family: str, prompt: str, before: str, after: str
) -> None:
    """Beside the stock pipeline, whose words are exchanged after half of the steps: at most one of 255 levels."""
    if family == "ernie" or (family in ("krea2", "chroma") and after):
        pytest.skip("its stock pipeline cannot exchange them, or not their mask")
    spec = flow_spec(prompt=prompt, guidance=1.0, negative="", steps=4, syntax=3)
    ours = as_array(paint(engine, an_order(spec)))
    assert np.abs(ours - stock_picture(folder, family, spec, before, after or before)).max() <= 1
    other = flow_spec(prompt=before if after else "a red cat b", guidance=1.0, negative="", steps=4, syntax=3)
    assert np.abs(ours - as_array(paint(engine, an_order(other)))).max() > 1, "the control: it is another picture"


def stock_picture(folder: Path, family: str, spec: ImageSpec, before: str, after: str) -> np.ndarray:
    pipeline = STOCK[family].from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    other: dict[str, Any] = {"do_classifier_free_guidance": False} if family == "zimage" else {}
    if family == "sd3":
        other = {"prompt_2": after, "prompt_3": after}
    later, *sums = pipeline.encode_prompt(prompt=after, **other)

    def exchange(_: Any, step: int, *rest: Any) -> dict[str, Any]:
        if step + 1 != spec.steps // 2:
            return {}
        if family == "flux":  # its pipeline lets no one exchange CLIP's sum
            exchanged = {"pooled_projections": sums[0]}
            pipeline.transformer.register_forward_pre_hook(
                lambda *call: (call[1], call[2] | exchanged), with_kwargs=True
            )
        return {"prompt_embeds": later} | ({"pooled_prompt_embeds": sums[1]} if family == "sd3" else {})

    pictures = pipeline(
        prompt=before,
        num_inference_steps=spec.steps,
        **UNGUIDED[family],
        generator=torch.Generator().manual_seed(spec.seed),
        width=spec.width_px,
        height=spec.height_px,
        callback_on_step_end=exchange,
        output_type="np",
    ).images
    return (pictures[0] * 255).round().astype(int)


def test_a_sampler_of_other_models_ends_the_picture_alone(engine: Engine) -> None:
    said = ends(run(engine, an_order(flow_spec(sampler="DDIM"), image_id="a-0"), an_order(flow_spec(), image_id="b-0")))
    failed = said["a-0"]
    assert isinstance(failed, ImageFailed)
    assert "DDIM" in failed.message
    assert isinstance(said["b-0"], Finished)


def test_samplers_are_the_flow_classes() -> None:
    config = dict(FlowMatchEulerDiscreteScheduler(shift=3.0).config)
    assert isinstance(build_flow_scheduler("LCM", config), FlowMatchLCMScheduler)
    assert build_flow_scheduler("Euler a", config).config.stochastic_sampling
    assert build_flow_scheduler("Euler", config).config.shift == 3.0
