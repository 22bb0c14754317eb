"""ControlNets paint as the stock pipelines, and pictures of a mixed crowd replay byte for byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from torch import Tensor

from generation.engine.control.networks import load_control
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.samplers import build_scheduler
from generation.images.codec import decode_png
from generation.images.preprocessors import preprocess
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed
from generation.models.controls import ControlFile
from generation.requests.control import Control
from generation.requests.cost import WORK
from generation.requests.edits import Hires
from generation.requests.recipe import Trace
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_mask, a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy import SECOND_WIDTH, save_toy, save_toy_xl, toy_model
from tests.generation.engine.toy_control import control_by, save_toy_control

MAX_LEVELS_APART = 1
_STOCK = {"sd": "StableDiffusion", "sdxl": "StableDiffusionXL"}


@dataclass(frozen=True)
class Toys:
    """A toy model of a family with two ControlNets."""

    family: str
    folder: Path
    files: tuple[ControlFile, ControlFile]

    def engine(self, **settings: Any) -> Engine:
        model = toy_model(self.folder, family=self.family, controls=self.files)
        return Engine([model], EngineSettings(num_threads=1, **settings))

    def control(self, which: int = 0, **changes: Any) -> Control:
        return control_by(self.files[which], **{"sha256": f"{which}" * 64} | changes)


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def toys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Toys:
    root, family = tmp_path_factory.mktemp("control"), request.param
    folder = save_toy(root) if family == "sd" else save_toy_xl(root)
    first, second = (save_toy_control(root, name=f"net{seed}", family=family, seed=seed) for seed in (1, 2))
    return Toys(family, folder, (first, second))


@pytest.fixture(scope="module")
def engine(toys: Toys) -> Iterator[Engine]:
    engine = toys.engine()
    yield engine
    engine.close()


def order_of(spec: ImageSpec, **changes: Any) -> GenerateCommand:
    """Return a command with a picture for each ControlNet, another for each place."""
    pictures = tuple(a_picture(seed=20 + int(each.sha256[0], 16)) for each in spec.controls)
    return an_order(spec, **{"control_pngs": pictures} | changes)


def stock_picture(toys: Toys, spec: ImageSpec) -> np.ndarray:
    nets = [diffusers.ControlNetModel.from_pretrained(toys.folder.parent / each.network) for each in spec.controls]
    kind, guides = "", [open_png(a_picture(seed=20 + int(each.sha256[0], 16))) for each in spec.controls]
    guides = [
        PillowImage.fromarray(preprocess(np.asarray(guide), each.preprocessor, each.version))
        for guide, each in zip(guides, spec.controls, strict=True)
    ]
    options: dict[str, Any] = {"image": guides}
    if spec.start is not None:
        kind, options = "Img2Img", {"image": open_png(a_picture()), "control_image": guides}
        options["strength"] = spec.start.strength
        if spec.start.mask_sha256 is not None:
            kind, options = "Inpaint", options | {"mask_image": open_png(a_mask())}
    name = f"{_STOCK[toys.family]}ControlNet{kind}Pipeline"
    extra = {"safety_checker": None} if toys.family == "sd" else {"add_watermarker": False}
    pipeline = getattr(diffusers, name).from_pretrained(toys.folder, controlnet=nets, **extra)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = build_scheduler(spec.sampler, dict(pipeline.scheduler.config))
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        width=spec.width_px,
        height=spec.height_px,
        generator=torch.Generator().manual_seed(spec.seed),
        controlnet_conditioning_scale=[each.strength for each in spec.controls],
        control_guidance_start=[each.begin for each in spec.controls],
        control_guidance_end=[each.end for each in spec.controls],
        output_type="np",
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


def open_png(png: bytes) -> PillowImage.Image:
    pixels, size_px = decode_png(png)
    return PillowImage.frombytes("RGB", size_px, pixels)


@pytest.mark.parametrize(
    "changes",
    [{}, {"start": a_start()}, {"start": a_start(mask=True)}, {"guidance": 1.0, "sampler": "Euler a"}],
    ids=["text", "picture", "inpaint", "unguided"],
)
def test_pictures_are_those_of_the_stock_pipelines(toys: Toys, engine: Engine, changes: dict[str, Any]) -> None:
    spec = a_spec(control=(toys.control(strength=0.7, preprocessor="canny"),), steps=5, **changes)
    ours = as_array(paint(engine, order_of(spec)))
    assert np.abs(ours - stock_picture(toys, spec)).max() <= MAX_LEVELS_APART
    without = as_array(paint(engine, an_order(a_spec(steps=5, **changes))))
    assert np.abs(ours - without).max() > MAX_LEVELS_APART


def test_several_with_their_own_begin_and_end_are_those_of_the_stock_pipelines(toys: Toys, engine: Engine) -> None:
    spec = a_spec(
        steps=6, sampler="Heun", control=(toys.control(end=0.5), toys.control(1, begin=0.3, end=0.9, strength=1.3))
    )
    end = paint(engine, order_of(spec))
    assert np.abs(as_array(end) - stock_picture(toys, spec)).max() <= MAX_LEVELS_APART
    assert {len(forward.control) for forward in Trace.parse(end.trace).forwards()} == {0, 1, 2}


def some_specs(toys: Toys, rng: random.Random, number: int) -> Iterator[ImageSpec]:
    """Yield specs with one ControlNet, another, both, and none, of one key but for a hires fix."""
    for index in range(number):
        one = toys.control(rng.randrange(2), strength=rng.choice([0.4, 1.0]), end=rng.choice([0.6, 1.0]))
        both = (toys.control(1), toys.control(0, strength=0.5))
        start = rng.choice([None, None, a_start(), a_start(mask=True)])
        chosen: dict[str, Any] = rng.choice([{}, {"control": (one,)}, {"control": (one,)}, {"control": both}])
        yield a_spec(
            seed=index,
            steps=rng.randint(2, 5),
            guidance=rng.choice([1.0, 4.0]),
            sampler=rng.choice(["DDIM", "Euler a", "DPM++ 2M Karras"]),
            start=start,
            hires=Hires(factor=1.5) if start is None and rng.random() < 0.3 else None,
            **chosen,
        )


def crowd(engine: Engine, orders: list[GenerateCommand], rng: random.Random) -> dict[str, Finished]:
    waiting, finished = list(orders), dict[str, Finished]()
    while waiting or not engine.is_idle:
        if waiting and (engine.is_idle or rng.random() < 0.5):
            engine.admit(waiting.pop())
        for image_id, end in ends(engine.step()).items():
            assert isinstance(end, Finished), end
            finished[image_id] = end
    return finished


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.long)])
def test_pictures_of_a_mixed_crowd_replay_byte_for_byte(toys: Toys, dtype: str) -> None:
    engine, rng = toys.engine(dtype=dtype), random.Random(3)
    orders = [order_of(spec, image_id=f"{index}-0") for index, spec in enumerate(some_specs(toys, rng, 12))]
    crowded = crowd(engine, orders, rng)
    met = {
        bucket for each in crowded.values() for step in Trace.parse(each.trace).forwards() for bucket in step.control
    }
    assert len(met) > 1, "ControlNets ran on rows of several images"
    for order in orders:
        first = crowded[order.image_id]
        again = paint(engine, order_of(order.spec, replay=first.trace))
        assert (again.pixels, again.trace) == (first.pixels, first.trace), order.spec
    engine.close()


def test_pictures_from_before_weights_were_packed_replay_beside_others(toys: Toys) -> None:
    before, engine, rng = toys.engine(packs_weights=False), toys.engine(), random.Random(5)
    orders = [order_of(spec, image_id=f"{index}-0") for index, spec in enumerate(some_specs(toys, rng, 8))]
    made = [crowd(each, orders, random.Random(7)) for each in (before, engine)]
    assert not all(made[0][name].pixels == made[1][name].pixels for name in made[0]), "else this shows nothing"
    for order in orders:
        for first in (each[order.image_id] for each in made):
            again = paint(engine, order_of(order.spec, replay=first.trace))
            assert (again.pixels, again.trace) == (first.pixels, first.trace), order.spec
    before.close()
    engine.close()


def test_the_bucket_of_a_controlnet_decides_bits(toys: Toys) -> None:
    """The control: in another bucket the same row is another. If this fails, traces need not have it here."""
    network = load_control(toys.files[0], Device(torch.device("cpu"), torch.float32, 1))
    width = network.config.cross_attention_dim
    added = {"text_embeds": torch.randn(1, SECOND_WIDTH), "time_ids": torch.ones(1, 6)}
    row = {
        "sample": torch.randn(1, 4, 8, 8),
        "encoder_hidden_states": torch.randn(1, 77, width),
        "controlnet_cond": torch.rand(1, 3, 64, 64),
    }

    def predict(bucket: int) -> Tensor:
        rows = {name: each.repeat(bucket, *(1,) * (each.dim() - 1)) for name, each in row.items()}
        extra = {name: each.repeat(bucket, 1) for name, each in added.items()}
        middle: Tensor = network(**rows, timestep=torch.ones(bucket), added_cond_kwargs=extra, return_dict=False)[1]
        return middle[0]

    with torch.inference_mode():
        assert torch.equal(predict(2), predict(2))
        assert any(not torch.equal(predict(1), predict(bucket)) for bucket in (2, 4, 8, 16))


def test_strength_0_is_the_picture_without_one(toys: Toys, engine: Engine) -> None:
    without = paint(engine, an_order(a_spec()))
    nothing = paint(engine, order_of(a_spec(control=(toys.control(strength=0.0),))))
    assert (nothing.pixels, nothing.trace) == (without.pixels, without.trace)


@pytest.mark.parametrize("trace", ["2x4", "2c2c2x4", "2c2x3", "2c3x4", "2c1x4"])
def test_a_trace_that_such_a_picture_cannot_have_is_refused(toys: Toys, engine: Engine, trace: str) -> None:
    end = ends(run(engine, order_of(a_spec(control=(toys.control(),)), replay=trace)))["a-0"]
    assert isinstance(end, ImageFailed) and end.error == "InvalidRequest"


def test_a_trace_with_one_is_refused_for_a_picture_without(engine: Engine) -> None:
    end = ends(run(engine, an_order(a_spec(), replay="2c2x4")))["a-0"]
    assert isinstance(end, ImageFailed) and end.error == "InvalidRequest"


@pytest.mark.parametrize(
    ("changes", "pictures"),
    [({"network_sha256": "f" * 64}, None), ({}, ()), ({}, (a_picture(size_px=(72, 64)),))],
    ids=["another network", "no picture", "another size"],
)
def test_what_is_not_here_ends_that_image_alone(
    toys: Toys, engine: Engine, changes: dict[str, Any], pictures: tuple[bytes, ...] | None
) -> None:
    spec = a_spec(control=(toys.control(**changes),))
    order = order_of(spec) if pictures is None else order_of(spec, control_pngs=pictures)
    end = ends(run(engine, order))["a-0"]
    assert isinstance(end, ImageFailed) and end.error == "InvalidRequest"
    paint(engine, order_of(a_spec(control=(toys.control(),))))


def test_one_for_another_network_is_refused_with_its_name(toys: Toys, tmp_path: Path) -> None:
    wide = save_toy_control(tmp_path, name="wide", family=toys.family, block_out_channels=(16, 64))
    engine = replace(toys, files=(wide, wide)).engine()
    end = ends(run(engine, order_of(a_spec(control=(control_by(wide, sha256="0" * 64),)))))["a-0"]
    assert isinstance(end, ImageFailed) and "wide" in end.message and "block_out_channels" in end.message
    engine.close()


def test_a_file_that_has_changed_is_not_loaded(toys: Toys, tmp_path: Path) -> None:
    file = save_toy_control(tmp_path, family=toys.family)
    save_toy_control(tmp_path, family=toys.family, seed=9)
    engine = replace(toys, files=(file, file)).engine()
    end = ends(run(engine, order_of(a_spec(control=(control_by(file, sha256="0" * 64),)))))["a-0"]
    assert isinstance(end, ImageFailed) and "has changed" in end.message
    engine.close()


def test_a_step_with_one_is_charged_for_both_networks(toys: Toys, engine: Engine) -> None:
    engine.admit(order_of(a_spec(control=(toys.control(end=0.5),), width_px=64)))
    (slot,) = engine._slots.values()
    charges = []
    while slot.order.image_id in engine._slots and not slot.is_denoised:
        engine.step()
        charges.append(slot.charge) if not slot.is_denoised else None
    work = WORK[toys.family]
    engine.step()
    assert charges[0] - charges[-1] == pytest.approx(2000 * work.of_control(64, 64))
    while not engine.is_idle:
        engine.step()
