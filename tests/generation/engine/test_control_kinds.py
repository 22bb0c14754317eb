"""T2I-Adapters and ControlNet Unions paint as the stock pipelines, and replay byte for byte beside others."""

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

from generation.engine.control.features import _as_grey
from generation.engine.engine import Engine
from generation.engine.samplers import build_scheduler
from generation.images.codec import decode_png
from generation.images.preprocessors import preprocess
from generation.jobs.protocol import Finished, ImageFailed
from generation.models.controls import ControlFile
from generation.requests.control import UNION, Control
from generation.requests.edits import Hires
from generation.requests.recipe import Trace
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.test_control import crowd, order_of
from tests.generation.engine.toy import TOY, XL_SHAPED, save_toy, save_toy_xl, toy_model
from tests.generation.engine.toy_control import control_by, save_toy_adapter, save_toy_control, save_toy_union

pytestmark = pytest.mark.filterwarnings("ignore:The decode_latents method:FutureWarning")  # inside diffusers
MAX_LEVELS_APART = 1


@dataclass(frozen=True)
class Toys:
    """A toy model of a family, an adapter, one that sees grey, a ControlNet, and for XL a Union."""

    family: str
    folder: Path
    files: dict[str, ControlFile]

    def engine(self, **settings: Any) -> Engine:
        model = toy_model(self.folder, family=self.family, controls=tuple(self.files.values()))
        return Engine([model], EngineSettings(num_threads=1, **settings))

    def control(self, name: str, which: int = 0, **changes: Any) -> Control:
        return control_by(self.files[name], **{"sha256": f"{which}" * 64} | changes)

    def pipeline(self, name: str, **parts: Any) -> Any:
        extra = {"safety_checker": None} if self.family == "sd" else {"add_watermarker": False}
        pipeline = getattr(diffusers, name).from_pretrained(self.folder, **parts, **extra)
        pipeline.set_progress_bar_config(disable=True)
        return pipeline


@pytest.fixture(scope="module", params=["sd", "sdxl"])
def toys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Toys:
    root, family = tmp_path_factory.mktemp("kinds"), request.param
    sizes = TOY if family == "sd" else XL_SHAPED
    folder = save_toy(root, sizes=sizes) if family == "sd" else save_toy_xl(root, sizes=sizes)
    made = {"family": family, "sizes": sizes}
    files = {
        "adapter": save_toy_adapter(root, **made),
        "grey": save_toy_adapter(root, name="grey", seed=1, in_channels=1, **made),
        "net": save_toy_control(root, name="net", seed=2, **made),
    }
    if family == "sdxl":
        files["union"] = save_toy_union(root, sizes=sizes)
    return Toys(family, folder, files)


HAS_UNION = pytest.mark.parametrize("toys", ["sdxl"], indirect=True)
"""There is none of Stable Diffusion 1.5."""


@pytest.fixture(scope="module")
def engine(toys: Toys) -> Iterator[Engine]:
    engine = toys.engine()
    yield engine
    engine.close()


def seen(control: Control, *, is_grey: bool = False) -> PillowImage.Image:
    """Return what a network sees of the picture that `order_of` gives it."""
    pixels, size_px = decode_png(a_picture(seed=20 + int(control.sha256[0], 16)))
    given = np.asarray(PillowImage.frombytes("RGB", size_px, pixels))
    made = PillowImage.fromarray(preprocess(given, control.preprocessor, control.version))
    return made.convert("L") if is_grey else made


def stock(pipeline: Any, spec: ImageSpec, **options: Any) -> np.ndarray:
    pipeline.scheduler = build_scheduler(spec.sampler, dict(pipeline.scheduler.config))
    images = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        width=spec.width_px,
        height=spec.height_px,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
        **options,
    ).images
    return np.asarray(np.asarray(images[0]) * 255).round().astype(int)


def stock_adapter_picture(toys: Toys, spec: ImageSpec) -> np.ndarray:
    nets = [diffusers.T2IAdapter.from_pretrained(toys.files[each.network].path) for each in spec.controls]
    images = [seen(each, is_grey=net.config.in_channels == 1) for each, net in zip(spec.controls, nets, strict=True)]
    scales = [each.strength for each in spec.controls]
    name = "StableDiffusionXLAdapterPipeline" if toys.family == "sdxl" else "StableDiffusionAdapterPipeline"
    if len(nets) == 1:
        options = {"image": images[0], "adapter_conditioning_scale": scales[0]}
        if toys.family == "sdxl":
            options["adapter_conditioning_factor"] = spec.controls[0].end
        return stock(toys.pipeline(name, adapter=nets[0]), spec, **options)
    pipeline = toys.pipeline(name, adapter=diffusers.MultiAdapter(nets))
    return stock(pipeline, spec, image=images, adapter_conditioning_scale=scales)


@pytest.mark.parametrize(("name", "guidance"), [("adapter", 4.0), ("grey", 1.0)])
def test_an_adapter_paints_as_the_stock_pipeline(toys: Toys, engine: Engine, name: str, guidance: float) -> None:
    spec = a_spec(control=(toys.control(name, strength=0.7),), steps=5, guidance=guidance)
    end = paint(engine, order_of(spec))
    assert np.abs(as_array(end) - stock_adapter_picture(toys, spec)).max() <= MAX_LEVELS_APART
    without = paint(engine, an_order(a_spec(steps=5, guidance=guidance)))
    assert np.abs(as_array(end) - as_array(without)).max() > MAX_LEVELS_APART
    assert end.trace == without.trace, "it runs once, in no bucket of the trace"


def test_two_adapters_and_an_end_are_those_of_the_stock_pipelines(toys: Toys, engine: Engine) -> None:
    both = (toys.control("adapter", strength=1.2), toys.control("adapter", 1, strength=0.4, preprocessor="canny"))
    spec = a_spec(control=both, steps=4)
    ours = as_array(paint(engine, order_of(spec)))
    assert np.abs(ours - stock_adapter_picture(toys, spec)).max() <= MAX_LEVELS_APART
    if toys.family == "sdxl":  # the other pipeline has no end
        ending = a_spec(control=(toys.control("adapter", end=0.5),), steps=6)
        ours = as_array(paint(engine, order_of(ending)))
        assert np.abs(ours - stock_adapter_picture(toys, ending)).max() <= MAX_LEVELS_APART


def test_grey_is_what_pillow_makes_of_a_picture() -> None:
    pixels, size_px = decode_png(a_picture(seed=4))
    picture = PillowImage.frombytes("RGB", size_px, pixels)
    ours = _as_grey(torch.from_numpy(np.asarray(picture).astype(np.float32) / 255).permute(2, 0, 1)[None])
    assert torch.equal(ours[0, 0], torch.from_numpy(np.asarray(picture.convert("L")).astype(np.float32)) / 255)


@HAS_UNION
@pytest.mark.parametrize("guidance", [4.0, pytest.param(1.0, marks=pytest.mark.long)])
def test_a_union_paints_as_the_stock_pipeline_and_knows_what_its_picture_is(
    toys: Toys, engine: Engine, guidance: float
) -> None:
    spec = a_spec(control=(toys.control("union", strength=0.7, end=0.8),), steps=5, guidance=guidance)
    end = paint(engine, order_of(spec))
    union = diffusers.ControlNetUnionModel.from_pretrained(toys.files["union"].path)
    (control,) = spec.controls
    theirs = stock(
        toys.pipeline("StableDiffusionXLControlNetUnionPipeline", controlnet=union),
        spec,
        control_image=[seen(control)],
        control_mode=[1],
        controlnet_conditioning_scale=control.strength,
        control_guidance_end=control.end,
    )
    assert np.abs(as_array(end) - theirs).max() <= MAX_LEVELS_APART
    as_pose = replace(spec, control=(replace(control, mode="pose"),))
    assert paint(engine, order_of(as_pose)).pixels != end.pixels
    rows = spec.num_rows
    assert [step.control for step in Trace.parse(end.trace).forwards()] == [(rows,)] * 4 + [()]


@HAS_UNION
@pytest.mark.long
def test_two_maps_of_a_union_add_up_as_in_the_stock_pipeline(toys: Toys, engine: Engine) -> None:
    depth = toys.control("union", strength=0.7)
    spec = a_spec(control=(depth, toys.control("union", 1, mode="lines", preprocessor="canny", begin=0.4)), steps=5)
    union = diffusers.ControlNetUnionModel.from_pretrained(toys.files["union"].path)
    theirs = stock(
        toys.pipeline("StableDiffusionXLControlNetUnionPipeline", controlnet=[union, union]),
        spec,
        control_image=[seen(each) for each in spec.controls],
        control_mode=[1, 3],
        controlnet_conditioning_scale=[each.strength for each in spec.controls],
        control_guidance_start=[each.begin for each in spec.controls],
    )
    assert np.abs(as_array(paint(engine, order_of(spec))) - theirs).max() <= MAX_LEVELS_APART


@HAS_UNION
def test_the_company_of_a_union_never_reaches_its_picture(toys: Toys, engine: Engine) -> None:
    """Its rows see each other: beside others of the same network, in a larger forward, each runs by itself."""
    specs = [a_spec(seed=index, control=(toys.control("union", index),)) for index in range(3)]
    orders = [order_of(spec, image_id=f"{index}-0") for index, spec in enumerate(specs)]
    together = ends(run(engine, *orders))
    for order in orders:
        end = together[order.image_id]
        assert isinstance(end, Finished)
        steps = list(Trace.parse(end.trace).forwards())
        assert {step.control for step in steps} == {(2,)} and any(step.rows > 2 for step in steps)
        assert paint(engine, order_of(order.spec, replay=end.trace)).pixels == end.pixels
    wrong = end.trace.replace("c2", "c4")
    failed = ends(run(engine, order_of(specs[-1], replay=wrong)))["a-0"]
    assert isinstance(failed, ImageFailed) and failed.error == "InvalidRequest"


def some_specs(toys: Toys, rng: random.Random, number: int) -> Iterator[ImageSpec]:
    """Yield specs with each kind, two at once, and none."""
    kinds: list[tuple[str, ...]] = [(), *((name,) for name in toys.files), ("net", "adapter"), ("adapter", "grey")]
    kinds += [("union", "net"), ("union", "union")] if "union" in toys.files else []
    for index in range(number):
        names = kinds[index % len(kinds)]
        controls = [
            toys.control(name, rng.randrange(3), strength=rng.choice([0.4, 1.0]), end=rng.choice([0.6, 1.0]))
            for name in names
        ]
        start = rng.choice([None, None, a_start()])
        yield a_spec(
            seed=index,
            steps=rng.randint(2, 4),
            guidance=rng.choice([1.0, 4.0]),
            sampler=rng.choice(["DDIM", "Euler a", "DPM++ 2M Karras"]),
            start=start,
            hires=Hires(factor=1.5) if start is None and rng.random() < 0.3 else None,
            **({"control": tuple(controls)} if controls else {}),
        )


@pytest.mark.long  # `bench exact --control` is the short form
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pictures_of_a_mixed_crowd_replay_byte_for_byte(toys: Toys, dtype: str) -> None:
    engine, rng = toys.engine(dtype=dtype), random.Random(5)
    orders = [order_of(spec, image_id=f"{index}-0") for index, spec in enumerate(some_specs(toys, rng, 10))]
    crowded = crowd(engine, orders, rng)
    for order in orders:
        first = crowded[order.image_id]
        again = paint(engine, order_of(order.spec, replay=first.trace))
        assert (again.pixels, again.trace) == (first.pixels, first.trace), order.spec
    engine.close()


def test_sides_that_an_adapter_cannot_divide_are_filled_up(toys: Toys, engine: Engine) -> None:
    """An adapter of XL takes 16 pixels at once, and pictures have sides of 8."""
    spec = a_spec(width_px=72, height_px=88, control=(toys.control("adapter"),))
    order = order_of(spec, control_pngs=(a_picture(size_px=(72, 88)),))
    without = paint(engine, an_order(a_spec(width_px=72, height_px=88)))
    assert paint(engine, order).pixels != without.pixels


def test_what_does_not_fit_ends_that_image_alone(toys: Toys, engine: Engine, tmp_path: Path) -> None:
    wide = save_toy_adapter(tmp_path, name="wide", family=toys.family, channels=[16, 64, 64])
    other = Toys(toys.family, toys.folder, toys.files | {"wide": wide}).engine()
    cases = {
        "channels": control_by(wide),
        "another kind": toys.control("net", kind=UNION, mode="depth"),
    }
    for said, control in cases.items():
        end = ends(run(other, order_of(a_spec(control=(control,)))))["a-0"]
        assert isinstance(end, ImageFailed) and said in end.message, end
    paint(other, order_of(a_spec(control=(toys.control("adapter"),))))
    other.close()
