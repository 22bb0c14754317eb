"""ControlNets of Z-Image: the stock pipeline's pictures, exact in a mixed crowd, told from their files, refused where
they do not fit."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ZImageControlNetModel,
    ZImageControlNetPipeline,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from PIL import Image as PillowImage
from torch.utils.flop_counter import FlopCounterMode

from generation.engine.control.zimage import RowStrengths, lending
from generation.engine.engine import Engine
from generation.engine.families.base import RESIDUAL
from generation.engine.step_cache import caching
from generation.images.codec import decode_png
from generation.jobs.protocol import Finished, GenerateCommand, ImageFailed
from generation.models.controls import ControlFile
from generation.models.hashing import hash_files
from generation.requests.control import Control
from generation.requests.cost import WORK
from generation.requests.recipe import Trace
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, as_array, ends, paint, run
from tests.generation.engine.toy_control import control_by
from tests.generation.engine.toy_flow import SIDE_PX, save_toy_zimage, toy_flow_model

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
BUILDS: dict[str, dict[str, Any]] = {
    "first": {"control_in_dim": 16, "add_control_noise_refiner": None},
    "2.0": {"control_in_dim": 33, "add_control_noise_refiner": "control_layers"},
    "2.1": {"control_in_dim": 33, "add_control_noise_refiner": "control_noise_refiner"},
}
FULL = {"dim": 3840, "n_heads": 30, "n_kv_heads": 30, "n_refiner_layers": 2}
PLACES = {"first": list(range(0, 30, 5)), "2.0": list(range(0, 30, 2)), "2.1": list(range(0, 30, 2))}
MAX_LEVELS_APART = 1


def build(name: str, *, places: tuple[int, ...] = (0, 2), seed: int = 1, **sizes: Any) -> ZImageControlNetModel:
    torch.manual_seed(seed)
    small = {"dim": 128, "n_heads": 4, "n_kv_heads": 4, "n_refiner_layers": 1}
    network = ZImageControlNetModel(
        control_layers_places=list(places),
        control_refiner_layers_places=[0],
        **BUILDS[name],
        **small | sizes,
    )
    for name, weight in network.named_parameters():
        if "before_proj" in name or "after_proj" in name:  # zero before training: it would add nothing
            weight.data.normal_(0, 0.2)
    return network


def save(folder: Path, name: str, **options: Any) -> ControlFile:
    path = folder / name
    build(name, **options).save_pretrained(path, safe_serialization=True)
    return ControlFile(name=name, path=path, sha256=hash_files(path), family="zimage")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_zimage(tmp_path_factory.mktemp("zimage"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ControlFile]:
    root = tmp_path_factory.mktemp("control")
    return {name: save(root, name, seed=seed) for seed, name in enumerate(BUILDS)}


def open_engine(model: Path, files: dict[str, ControlFile], **settings: Any) -> Engine:
    toy = toy_flow_model(model, "zimage", controls=tuple(files.values()))
    return Engine([toy], EngineSettings(num_threads=1, **settings))


@pytest.fixture(scope="module")
def engine(model: Path, files: dict[str, ControlFile]) -> Iterator[Engine]:
    engine = open_engine(model, files)
    yield engine
    engine.close()


def spec_of(**changes: Any) -> ImageSpec:
    plain = {"sampler": "Euler", "steps": 3, "width_px": SIDE_PX, "height_px": SIDE_PX, "model": "toy"}
    return a_spec(**plain | changes)


def order_of(spec: ImageSpec, **changes: Any) -> GenerateCommand:
    pictures = tuple(a_picture(seed=20 + int(each.sha256[0], 16)) for each in spec.controls)
    return an_order(spec, **{"control_pngs": pictures} | changes)


def guide(files: dict[str, ControlFile], name: str, **changes: Any) -> Control:
    place = list(BUILDS).index(name)
    return control_by(files[name], **{"sha256": f"{place}" * 64} | changes)


@pytest.mark.parametrize(("name", "guidance"), [("first", 4.0), ("2.0", 4.0), ("2.1", 4.0), ("2.1", 1.0)])
def test_pictures_are_those_of_the_stock_pipeline(
    model: Path, files: dict[str, ControlFile], engine: Engine, name: str, guidance: float
) -> None:
    spec = spec_of(control=(guide(files, name, strength=0.7),), guidance=guidance)
    ours = as_array(paint(engine, order_of(spec)))
    pixels, size_px = decode_png(order_of(spec).control_pngs[0])
    stock = ZImagePipeline.from_pretrained(model)
    network = ZImageControlNetModel.from_pretrained(files[name].path)
    pipeline = ZImageControlNetPipeline(**stock.components, controlnet=network)
    pipeline.set_progress_bar_config(disable=True)
    output = pipeline(
        prompt=spec.prompt,
        negative_prompt=spec.negative,
        num_inference_steps=spec.steps,
        guidance_scale=spec.guidance - 1,
        control_image=PillowImage.frombytes("RGB", size_px, pixels),
        controlnet_conditioning_scale=0.7,
        width=SIDE_PX,
        height=SIDE_PX,
        generator=torch.Generator().manual_seed(spec.seed),
        output_type="np",
    )
    off = np.abs(ours - (output.images[0] * 255).round().astype(int)).max()
    assert off <= MAX_LEVELS_APART, f"{off} levels of 255"
    without = as_array(paint(engine, an_order(spec_of(guidance=guidance))))
    assert np.abs(ours - without).max() > MAX_LEVELS_APART
    assert not _borrows(engine, files[name]), "it keeps no part of the model"


def test_the_step_cache_adds_no_part_of_a_controlnet_twice(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shallow forward on the same inputs is the whole one, where it is added behind the first, an inner, the last."""
    family: Any = engine._models.get("toy").family
    denoise, caught = family.denoise, list[Any]()
    with monkeypatch.context() as patched:
        patched.setattr(family, "denoise", lambda *inputs: caught.append(inputs) or denoise(*inputs))
        paint(engine, an_order(spec_of(steps=1, cache=2)))
    latents, times, conditioning = caught[0]
    with torch.inference_mode():
        with caching(None, keeps=True) as kept:
            denoise(latents, times, conditioning)
        added = {f"{RESIDUAL}{layer}": torch.randn(kept[0].shape) for layer in range(3)}
        with caching(None, keeps=True) as kept:
            whole = denoise(latents, times, {**conditioning, **added})
        with caching(kept[0], keeps=False):
            shallow = denoise(latents, times, {**conditioning, **added})
    assert torch.allclose(shallow, whole, atol=1e-5)


def _borrows(engine: Engine, file: ControlFile) -> bool:
    network = engine._models._networks._controls._loaded[file.sha256].network
    theirs = {id(each) for each in engine._models.get("toy").family.denoiser.parameters()}
    return any(id(each) in theirs for each in network.parameters())


def some_specs(files: dict[str, ControlFile], rng: random.Random, number: int) -> Iterator[ImageSpec]:
    for index in range(number):
        one = guide(files, rng.choice(list(BUILDS)), strength=rng.choice([0.4, 1.0]), end=rng.choice([0.7, 1.0]))
        both = (guide(files, "2.1"), guide(files, "first", strength=0.5))
        chosen: dict[str, Any] = rng.choice([{}, {"control": (one,)}, {"control": (one,)}, {"control": both}])
        yield spec_of(
            seed=index,
            prompt=rng.choice(["a red cat", "a harbour"]),
            steps=rng.randint(2, 4),
            guidance=rng.choice([1.0, 4.0]),
            start=rng.choice([None, None, a_start()]),
            **chosen,
        )


def _replay(model: Path, files: dict[str, ControlFile], *, dtype: str, number: int, seed: int = 3) -> None:
    engine, rng = open_engine(model, files, dtype=dtype), random.Random(seed)
    orders = [order_of(spec, image_id=f"{index}-0") for index, spec in enumerate(some_specs(files, rng, number))]
    crowded = ends(run(engine, *orders))
    met = set()
    for order in orders:
        end = crowded[order.image_id]
        assert isinstance(end, Finished), end
        met |= {bucket for step in Trace.parse(end.trace).forwards() for bucket in step.control}
        again = paint(engine, order_of(order.spec, replay=end.trace))
        assert (again.pixels, again.trace) == (end.pixels, end.trace), order.spec
    assert len(met) > 1, "ControlNets ran on rows of several images"
    engine.close()


def test_pictures_of_a_mixed_crowd_replay_byte_for_byte(model: Path, files: dict[str, ControlFile]) -> None:
    """In bfloat16 too, in the long form."""
    _replay(model, files, dtype="float32", number=5)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_pictures_of_many_mixed_crowds_replay_byte_for_byte(
    model: Path, files: dict[str, ControlFile], dtype: str, seed: int
) -> None:
    _replay(model, files, dtype=dtype, number=24, seed=seed)


def test_a_strength_for_each_row_is_that_for_all() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        added = torch.randn(2, 5, 7).to(dtype)
        by_row = added * RowStrengths(torch.tensor([0.7, 1.3]))  # type: ignore[operator]
        assert by_row.dtype is dtype
        assert torch.equal(by_row, torch.stack([added[0] * 0.7, added[1] * 1.3]))


@pytest.mark.long
def test_its_price_is_the_operations_counted() -> None:
    """That of the larger builds, against that of the transformer, which is counted elsewhere."""
    with torch.device("meta"), torch.no_grad():
        transformer, network = ZImageTransformer2DModel(), build("2.1", places=tuple(PLACES["2.1"]), **FULL)
        for side_px in (256, 1024):
            latents, seen = (torch.zeros(channels, 1, side_px // 8, side_px // 8) for channels in (16, 33))
            inputs = [latents], torch.zeros(1), [torch.zeros(96, 2560)]
            with FlopCounterMode(display=False) as whole:
                transformer(*inputs)
            with lending(network, transformer), FlopCounterMode(display=False) as beside:
                network(*inputs, [seen])
            counted = beside.get_total_flops() / whole.get_total_flops()
            price = WORK["zimage"].of_control(side_px, side_px) / WORK["zimage"].of(side_px, side_px)
            assert price == pytest.approx(counted, rel=0.01), side_px


def test_what_was_borrowed_is_given_back_after_an_error(model: Path) -> None:
    transformer, network = ZImagePipeline.from_pretrained(model).transformer, build("2.1")
    before = len(list(network.parameters()))
    with pytest.raises(RuntimeError, match="no memory"), lending(network, transformer):
        assert len(list(network.parameters())) > before, "a move to a card takes them along"
        raise RuntimeError("no memory")
    assert len(list(network.parameters())) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"dim": 64, "n_heads": 2, "n_kv_heads": 2}, "its dim is 64, the model's is 128"),
        ({"places": (0, 3)}, "it is for layer 3, and the model's n_layers is 3"),
    ],
    ids=["another width", "a deeper model"],
)
def test_one_for_another_transformer_is_refused(
    model: Path, tmp_path: Path, options: dict[str, Any], said: str
) -> None:
    file = save(tmp_path, "first", **options)
    engine = open_engine(model, {"first": file})
    end = ends(run(engine, order_of(spec_of(control=(guide({"first": file}, "first"),)))))["a-0"]
    assert isinstance(end, ImageFailed) and end.error == "InvalidRequest"
    assert said in str(end)
