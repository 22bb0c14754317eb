"""IP-Adapters paint as the stock pipelines, and pictures of a mixed crowd replay byte for byte."""

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
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPVisionModelWithProjection

from generation.engine.clip_pixels import prepare_clip
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.ip_adapter.networks import load_ip_adapter
from generation.engine.samplers import build_scheduler
from generation.images.codec import decode_png
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed
from generation.models.controls import ControlFile
from generation.models.hashing import hash_files
from generation.models.ip_adapters import IpAdapterFile
from generation.requests.edits import Hires
from generation.requests.image_prompt import ImagePrompt
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, as_array, ends, paint, run, trace_of
from tests.generation.engine.toy import save_toy, save_toy_xl, toy_model
from tests.generation.engine.toy_control import control_by, save_toy_control
from tests.generation.engine.toy_ip_adapter import SEEN_PX, looking_by, save_toy_encoder, save_toy_ip_adapter

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
MAX_LEVELS_APART = 1
_STOCK = {"sd": "StableDiffusion", "sdxl": "StableDiffusionXL"}
_SIZES = ((64, 64), (96, 40), (40, 200))
"""Of references, by the first digit of their SHA-256."""


@dataclass(frozen=True)
class Toys:
    """A toy model of a family with an IP-Adapter of each kind and a ControlNet."""

    family: str
    folder: Path
    files: tuple[IpAdapterFile, IpAdapterFile]
    control: ControlFile

    def engine(self, **settings: Any) -> Engine:
        parts: dict[str, Any] = {"controls": (self.control,), "ip_adapters": self.files}
        model = toy_model(self.folder, family=self.family, **parts)
        return Engine([model], EngineSettings(**{"num_threads": 1, **settings}))

    def looking(self, which: int = 0, **changes: Any) -> ImagePrompt:
        return looking_by(self.files[which], **{"sha256": f"{which}" * 64} | changes)


@pytest.fixture(scope="module", params=["sd", pytest.param("sdxl", marks=pytest.mark.long)])
def toys(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Toys:
    root, family = tmp_path_factory.mktemp("looks"), request.param
    folder = save_toy(root) if family == "sd" else save_toy_xl(root)
    files = (
        save_toy_ip_adapter(root, name="standard", family=family, seed=1),
        save_toy_ip_adapter(root, name="plus", family=family, seed=2, plus=True),
    )
    return Toys(family, folder, files, save_toy_control(root, family=family))


@pytest.fixture(scope="module")
def engine(toys: Toys) -> Iterator[Engine]:
    engine = toys.engine()
    yield engine
    engine.close()


def reference(prompt: ImagePrompt) -> bytes:
    which = int(prompt.sha256[0], 16)
    return a_picture(seed=40 + which, size_px=_SIZES[which % len(_SIZES)])


def order_of(spec: ImageSpec, **changes: Any) -> GenerateCommand:
    """Return a command with the reference and the pictures of its ControlNets."""
    given: dict[str, Any] = {"control_pngs": tuple(a_picture(seed=20) for _ in spec.controls)}
    if spec.image_prompt:
        given["image_prompt_png"] = reference(spec.image_prompt)
    return an_order(spec, **given | changes)


def stock_picture(toys: Toys, spec: ImageSpec) -> np.ndarray:
    prompt = spec.image_prompt
    assert prompt
    root = toys.folder.parent
    encoder = CLIPVisionModelWithProjection.from_pretrained(root / "image_encoder")
    seen = CLIPImageProcessor(size=SEEN_PX, crop_size=SEEN_PX)
    kind, options = "", dict[str, Any]()
    if spec.start is not None:
        kind, options = "Img2Img", {"image": open_png(a_picture()), "strength": spec.start.strength}
    sizes = {} if spec.start is not None else {"width": spec.width_px, "height": spec.height_px}
    extra = {"safety_checker": None} if toys.family == "sd" else {"add_watermarker": False}
    pipeline = getattr(diffusers, f"{_STOCK[toys.family]}{kind}Pipeline").from_pretrained(
        toys.folder, image_encoder=encoder, feature_extractor=seen, **extra
    )
    pipeline.load_ip_adapter(root, subfolder="", weight_name=f"{prompt.adapter}.safetensors", image_encoder_folder=None)
    pipeline.set_ip_adapter_scale(prompt.strength)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = build_scheduler(spec.sampler, dict(pipeline.scheduler.config))
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance,
        generator=torch.Generator().manual_seed(spec.seed),
        ip_adapter_image=open_png(reference(prompt)),
        output_type="np",
        **sizes,
        **options,
    )
    return (output.images[0] * 255).round().astype(int)


def open_png(png: bytes) -> PillowImage.Image:
    pixels, size_px = decode_png(png)
    return PillowImage.frombytes("RGB", size_px, pixels)


@pytest.mark.parametrize("which", [0, 1], ids=["standard", "plus"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"start": a_start()}, {"guidance": 1.0, "sampler": "Euler a"}],
    ids=["text", "picture", "unguided"],
)
def test_pictures_are_those_of_the_stock_pipelines(
    toys: Toys, engine: Engine, which: int, changes: dict[str, Any]
) -> None:
    spec = a_spec(image_prompt=toys.looking(which, strength=0.7), steps=5, **changes)
    ours = as_array(paint(engine, order_of(spec)))
    assert np.abs(ours - stock_picture(toys, spec)).max() <= MAX_LEVELS_APART
    without = as_array(paint(engine, an_order(a_spec(steps=5, **changes))))
    assert np.abs(ours - without).max() > MAX_LEVELS_APART


def some_specs(toys: Toys, rng: random.Random, number: int) -> Iterator[ImageSpec]:
    """Yield specs with either IP-Adapter at some strength, with none, with a ControlNet or without."""
    for index in range(number):
        prompt = toys.looking(rng.randrange(2), strength=rng.choice([0.3, 0.6, 1.0, 1.5]), sha256=f"{index % 3}" * 64)
        start = rng.choice([None, None, a_start(), a_start(mask=True)])
        chosen: dict[str, Any] = rng.choice([{}, {"image_prompt": prompt}, {"image_prompt": prompt}])
        if rng.random() < 0.3:
            chosen["control"] = (control_by(toys.control, strength=0.5),)
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
    engine, rng = toys.engine(dtype=dtype, num_threads=2), random.Random(3)  # so that two forwards run at once
    orders = [order_of(spec, image_id=f"{index}-0") for index, spec in enumerate(some_specs(toys, rng, 14))]
    crowded = crowd(engine, orders, rng)
    assert any("t1" in each.trace for each in crowded.values()), "some forwards ran beside others"
    for order in orders:
        first = crowded[order.image_id]
        again = paint(engine, order_of(order.spec, replay=first.trace))
        assert (again.pixels, again.trace) == (first.pixels, first.trace), order.spec
    engine.close()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_picture_without_one_is_the_same_beside_any(toys: Toys, dtype: str) -> None:
    """Its bits are those of forwards in which no one has one: what is added to other rows never touches its own."""
    engine = toys.engine(dtype=dtype)
    plain = order_of(a_spec(), image_id="plain-0")
    beside = order_of(a_spec(seed=9), image_id="other-0")
    looks = order_of(a_spec(seed=9, image_prompt=toys.looking(1, strength=2.0)), image_id="looks-0")
    pictures = []
    for other in (beside, looks):
        done = ends(run(engine, plain, other))
        first, second = done["plain-0"], done[other.image_id]
        assert isinstance(first, Finished) and isinstance(second, Finished)
        assert trace_of(first) == trace_of(second) == "4x4", "they shared every forward"
        pictures.append((first.pixels, second.pixels))
    (alone, unseeing), (crowded, seeing) = pictures
    assert alone == crowded and unseeing != seeing
    engine.close()


def test_strength_0_is_the_picture_without_one(toys: Toys, engine: Engine) -> None:
    without = paint(engine, an_order(a_spec()))
    nothing = paint(engine, order_of(a_spec(image_prompt=toys.looking(strength=0.0))))
    assert (nothing.pixels, nothing.trace) == (without.pixels, without.trace)


def test_the_encoder_sees_a_picture_once(toys: Toys) -> None:
    engine = toys.engine()
    paint(engine, order_of(a_spec(image_prompt=toys.looking(1))))
    (adapter,) = engine._models._networks._ip_adapters._loaded.values()
    seen: list[Any] = []
    adapter.encoder.register_forward_hook(lambda *_: seen.append(1))
    for seed in (1, 2):
        paint(engine, order_of(a_spec(seed=seed, hires=Hires(factor=1.5), image_prompt=toys.looking(1, strength=1.0))))
    assert not seen, "neither another strength nor a second pass changes what it makes of a picture"
    paint(engine, order_of(a_spec(image_prompt=toys.looking(1, sha256="2" * 64))))
    assert len(seen) == 2, "of another picture, and of none"
    engine.close()


@pytest.mark.parametrize("size_px", [(64, 64), (96, 41), (41, 200), (32, 32), (7, 300)])
def test_pixels_are_prepared_as_by_clips_processor(size_px: tuple[int, int]) -> None:
    picture = open_png(a_picture(size_px=size_px))
    wanted = CLIPImageProcessor(size=SEEN_PX, crop_size=SEEN_PX)(picture, return_tensors="pt").pixel_values
    assert torch.allclose(prepare_clip(np.asarray(picture), SEEN_PX), wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "given"),
    [({"adapter_sha256": "f" * 64}, {}), ({}, {"image_prompt_png": None}), ({}, {"image_prompt_png": b"no picture"})],
    ids=["another adapter", "no picture", "a damaged one"],
)
def test_what_is_not_here_ends_that_image_alone(
    toys: Toys, engine: Engine, changes: dict[str, Any], given: dict[str, Any]
) -> None:
    end = ends(run(engine, order_of(a_spec(image_prompt=toys.looking(**changes)), **given)))["a-0"]
    assert isinstance(end, ImageFailed) and end.error == "InvalidRequest"
    paint(engine, order_of(a_spec(image_prompt=toys.looking())))


def test_one_for_another_network_is_refused_with_its_name(toys: Toys, tmp_path: Path) -> None:
    wide = save_toy_ip_adapter(tmp_path, name="wide", family=toys.family)
    tensors = load_file(wide.path)
    save_file({name: each for name, each in tensors.items() if ".1.to_" not in name}, tmp_path / "less.safetensors")
    numbers = sorted({int(name.split(".")[1]) for name in tensors if name.startswith("ip_adapter.")})
    more = {
        f"ip_adapter.{numbers[-1] + 2}.{part}.weight": torch.ones(16, wide.context_width)
        for part in ("to_k_ip", "to_v_ip")
    }
    save_file(tensors | more, wide.path)
    wide = replace(wide, sha256=hash_files(wide.path, image_encoder=wide.encoder))
    engine = replace(toys, files=(wide, wide)).engine()
    end = ends(run(engine, order_of(a_spec(image_prompt=looking_by(wide, sha256="0" * 64)))))["a-0"]
    assert isinstance(end, ImageFailed) and "wide" in end.message and "made for another network" in end.message
    engine.close()


@pytest.mark.parametrize("part", ["adapter", "encoder"])
def test_files_that_have_changed_are_not_loaded(toys: Toys, tmp_path: Path, part: str) -> None:
    file = save_toy_ip_adapter(tmp_path, family=toys.family)
    save_toy_ip_adapter(tmp_path, family=toys.family, seed=9) if part == "adapter" else save_toy_encoder(
        file.encoder, seed=9
    )
    engine = replace(toys, files=(file, file)).engine()
    end = ends(run(engine, order_of(a_spec(image_prompt=looking_by(file, sha256="0" * 64)))))["a-0"]
    assert isinstance(end, ImageFailed) and "has changed" in end.message
    engine.close()


def test_two_see_through_one_encoder(toys: Toys, engine: Engine) -> None:
    for which in (0, 1):
        paint(engine, order_of(a_spec(image_prompt=toys.looking(which))))
    first, second = engine._models._networks._ip_adapters._loaded.values()
    assert first.encoder is second.encoder


def test_weights_that_are_not_finite_are_refused(toys: Toys, tmp_path: Path) -> None:
    file = save_toy_ip_adapter(tmp_path, family=toys.family)
    tensors = load_file(file.path)
    tensors["image_proj.proj.bias"][0] = torch.nan
    save_file(tensors, file.path)
    file = replace(file, sha256=hash_files(file.path, image_encoder=file.encoder))
    with pytest.raises(Exception, match="not finite"):
        load_ip_adapter(file, Device(torch.device("cpu"), torch.float32, 1))
