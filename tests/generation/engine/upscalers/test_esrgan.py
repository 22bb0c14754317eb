"""Upscalers of the ESRGAN family against the reference implementation, in tiles, and files that are none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from generation.engine.devices import Device
from generation.engine.errors import AddonMissingError, AddonUnusableError
from generation.engine.upscalers.esrgan import EsrganUpscaler, EsrganUpscalers, load_network
from generation.engine.upscalers.tiles import UpscaleTask
from generation.errors import NotFiniteError
from generation.models.hashing import digest_file
from generation.requests.edits import UpscaleNetwork
from generation.requests.upscalers import Upscaler
from tests.generation.engine.upscalers.toy_upscalers import TOYS, Toy, draw_pixels

CPU = Device(torch.device("cpu"), torch.float32, 1)
REFERENCE = load_file(Path(__file__).parent / "reference.safetensors")


def saved(toy: Toy, path: Path, **options: object) -> Upscaler:
    file = toy.save(path, **options)  # type: ignore[arg-type]
    return Upscaler(name="toy", path=file, sha256=digest_file(file), scale=toy.scale)


def read(toy: Toy, path: Path, *, factor: int | None = None) -> EsrganUpscaler:
    file = saved(toy, path)
    with torch.inference_mode():
        return EsrganUpscaler(load_network(file, CPU), CPU, scale=toy.scale, factor=factor or toy.scale)


def picture(height: int, width: int) -> np.ndarray:
    random = np.random.RandomState(5)
    return random.randint(0, 256, (height, width, 3)).astype(np.uint8)


def enlarge(upscaler: EsrganUpscaler, pixels: np.ndarray) -> np.ndarray:
    task = UpscaleTask(pixels, upscaler)
    with torch.inference_mode():
        while not task.is_done:
            task.advance()
    return task.result


@pytest.mark.parametrize("name", TOYS)
def test_an_upscaler_gives_what_the_reference_implementation_gives(name: str, tmp_path: Path) -> None:
    network = load_network(saved(TOYS[name], tmp_path / "toy.safetensors"), CPU)
    with torch.inference_mode():
        found = network(torch.from_numpy(draw_pixels())).numpy()
    assert found.shape == REFERENCE[name].shape
    assert np.abs(REFERENCE[name]).max() > 0.05  # an output of zeros would show nothing
    np.testing.assert_allclose(found, REFERENCE[name], rtol=2e-6, atol=2e-6)  # what processors round differently


@pytest.mark.parametrize("prefix", ["", "params_ema.", "params.", "module."])
def test_names_may_have_a_prefix_and_half_the_digits(prefix: str, tmp_path: Path) -> None:
    toy = TOYS["RealESRGAN x4"]
    network = load_network(saved(toy, tmp_path / "toy.safetensors", prefix=prefix, half=True), CPU)
    with torch.inference_mode():
        found = network(torch.from_numpy(draw_pixels())).numpy()
    np.testing.assert_allclose(found, REFERENCE["RealESRGAN x4"], atol=2e-2)


@pytest.mark.parametrize("name", ["compact x4", "compact x2", "RealESRGAN x2", "ESRGAN x1"])
def test_tiles_leave_no_seam(name: str, tmp_path: Path) -> None:
    """Inside the picture, where its edges cannot be seen, tiles give what the whole picture at once gives."""
    upscaler, pixels = read(TOYS[name], tmp_path / "toy.safetensors"), picture(136, 264)
    tiled = enlarge(upscaler, pixels)
    with torch.inference_mode():
        whole = upscaler.enlarge(pixels)
    edge = 40 * upscaler.factor
    inner = np.s_[edge:-edge, edge:-edge]
    difference = np.abs(tiled[inner].astype(int) - whole[inner].astype(int))
    assert tiled.shape == (136 * upscaler.factor, 264 * upscaler.factor, 3)
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_the_same_picture_comes_out_to_the_byte_each_time(tmp_path: Path) -> None:
    pixels = picture(72, 136)
    first = enlarge(read(TOYS["ESRGAN x4"], tmp_path / "first.safetensors"), pixels)
    second = enlarge(read(TOYS["ESRGAN x4"], tmp_path / "second.safetensors"), pixels)
    assert np.array_equal(first, second)


def test_a_network_that_makes_more_than_is_wanted_is_averaged(tmp_path: Path) -> None:
    pixels = picture(64, 64)
    large = enlarge(read(TOYS["compact x4"], tmp_path / "toy.safetensors"), pixels)
    small = enlarge(read(TOYS["compact x4"], tmp_path / "toy.safetensors", factor=2), pixels)
    averaged = large.reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert small.shape == (128, 128, 3)
    assert np.abs(small - averaged).max() <= 1


def test_the_last_upscaler_stays_in_memory_and_others_go(tmp_path: Path) -> None:
    files = [saved(TOYS[name], tmp_path / f"{name}.safetensors") for name in ("compact x4", "compact x2")]
    upscalers = EsrganUpscalers(files, CPU)
    first, second = (UpscaleNetwork(name="toy", sha256=file.sha256) for file in files)
    for wanted, factor in ((first, 4), (second, 2), (first, 2)):
        assert upscalers.get(wanted, factor=factor).factor == factor
    files[0].path.unlink()
    assert upscalers.get(first, factor=4).factor == 4
    upscalers.get(second, factor=2)
    with pytest.raises(AddonUnusableError, match="cannot be read"):
        upscalers.get(first, factor=4)


def test_an_upscaler_that_is_not_here_or_has_changed_is_refused(tmp_path: Path) -> None:
    file = saved(TOYS["compact x2"], tmp_path / "toy.safetensors")
    with pytest.raises(AddonMissingError):
        EsrganUpscalers((), CPU).get(UpscaleNetwork(name="toy", sha256=file.sha256), factor=2)
    TOYS["compact x4"].save(file.path)
    with pytest.raises(AddonUnusableError, match="changed"):
        EsrganUpscalers((file,), CPU).get(UpscaleNetwork(name="toy", sha256=file.sha256), factor=2)


def test_numbers_that_are_none_are_no_picture(tmp_path: Path) -> None:
    upscaler = read(TOYS["compact x2"], tmp_path / "toy.safetensors")
    with torch.inference_mode():
        next(upscaler._network.parameters()).fill_(torch.inf)
    with pytest.raises(NotFiniteError), torch.inference_mode():
        upscaler.enlarge(picture(16, 16))
