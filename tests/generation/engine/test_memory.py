"""Memory modes: which one `auto` takes, what each does to a model, and releasing memory."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from generation.engine.devices import Device, lay_out
from generation.engine.engine import Engine
from generation.engine.memory import MODES, choose_mode, find_largest_px, loaded_bytes
from generation.engine.offload import PartOffloader, arrange, list_networks
from generation.errors import ConfigurationError
from generation.jobs.protocol import Close, Event, Finished, GenerateCommand
from generation.models.families import FAMILIES
from generation.requests.edits import Upscale
from generation.workers.child import Inbox, serve
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import encode
from tests.generation.engine.painting import a_picture, a_spec, an_order, as_array, ends, paint, run
from tests.generation.engine.toy import toy_model
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.patience import PATIENCE_S

CUDA, CPU = torch.device("cuda"), torch.device("cpu")
GIB = 2**30


@pytest.mark.parametrize(
    ("device", "wanted", "free_gib", "mode"),
    [
        (CUDA, "auto", 8, "full"),
        (CUDA, "auto", 5, "sliced"),
        (CUDA, "auto", 3, "offload"),
        (CUDA, "full", 3, "full"),
        (CUDA, "auto", 0, "offload"),
        (CUDA, "layers", 8, "layers"),
        (CPU, "auto", 8, "full"),
        (CPU, "auto", 1, "sliced"),
        (CPU, "offload", 8, "sliced"),
        (CPU, "layers", 8, "sliced"),
    ],
)
def test_auto_takes_the_fastest_mode_that_fits(device: torch.device, wanted: str, free_gib: int, mode: str) -> None:
    """For a model of 4 GiB. A CPU cannot move parts elsewhere."""
    assert choose_mode(wanted, device, weights=4 * GIB, free=free_gib * GIB) == mode


def test_an_unknown_memory_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Choose one of: auto, full, sliced, offload"):
        choose_mode("lots", CPU, weights=0, free=0)


def num_weights(*files: Path) -> int:
    return sum(each.numel() for file in files for each in load_file(file).values())


def test_weights_are_counted_as_they_will_be_loaded(toy_folder: Path, tmp_path: Path) -> None:
    """Half precision on disk is twice as much in float32; what no loader opens is not counted."""
    folder = Path(shutil.copytree(toy_folder, tmp_path / "model"))
    number = num_weights(*folder.rglob("*.safetensors"))
    assert loaded_bytes(toy_model(folder), 4) == 4 * number
    unet = folder / "unet" / "diffusion_pytorch_model.safetensors"
    halved = {name: each.half() for name, each in load_file(unet).items()}
    save_file(halved, unet)
    for copy in ("diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.non_ema.safetensors"):
        save_file(halved, folder / "unet" / copy)
    save_file(halved, folder / "flux-dev.safetensors")
    assert (loaded_bytes(toy_model(folder), 4), loaded_bytes(toy_model(folder), 2)) == (4 * number, 2 * number)


def test_a_single_file_counts_without_its_averages_and_with_the_vae_in_place_of_its_own(
    toy_folder: Path, tmp_path: Path
) -> None:
    file = save_checkpoint(toy_folder, tmp_path / "x.safetensors")
    weights = load_file(file)
    number = num_weights(file)
    averages = {f"model_ema.{name.replace('.', '')}": each.clone() for name, each in weights.items()}
    save_file(weights | averages, file)
    assert loaded_bytes(toy_model(file, config=toy_folder), 4) == 4 * number
    vae = toy_folder / "vae"
    own = sum(each.numel() for name, each in weights.items() if name.startswith("first_stage_model."))
    instead = number - own + num_weights(*vae.glob("*.safetensors"))
    assert loaded_bytes(toy_model(file, config=toy_folder, vae=vae), 4) == 4 * instead


def test_only_the_part_at_work_is_on_the_device() -> None:
    """On `meta`, which every machine has, instead of a graphics card."""
    shelf = PartOffloader(torch.device("meta"))
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    for part in (first, second):
        shelf.keep(part)
    assert {first.weight.device.type, second.weight.device.type} == {"cpu"}
    first(torch.ones(1, 2, device="meta"))
    assert (first.weight.device.type, second.weight.device.type) == ("meta", "cpu")
    first(torch.ones(1, 2, device="meta"))
    with pytest.raises(NotImplementedError, match="meta"):
        second(torch.ones(1, 2, device="meta"))  # sends the first home, and from `meta` nothing comes back


@pytest.fixture(scope="module")
def sliced(toy_folder: Path) -> Engine:
    return Engine([toy_model(toy_folder)], EngineSettings(num_threads=1, memory="sliced"))


def test_in_slices_the_same_picture_comes_out_and_again_to_the_byte(sliced: Engine, engine: Engine) -> None:
    order = an_order(a_spec(width_px=96, sampler="Euler a"))
    first = paint(sliced, order)
    assert paint(sliced, an_order(order.spec, replay=first.trace)).pixels == first.pixels
    assert abs(as_array(first) - as_array(paint(engine, order))).max() <= 2
    assert sliced.fingerprint.differences(engine.fingerprint) == (
        "attention sliced here, sdpa then",
        "memory sliced here, full then",
    )


def test_a_large_picture_is_decoded_in_tiles(sliced: Engine) -> None:
    vae = sliced._models.get("toy").family.vae
    assert (vae.use_tiling, vae.tile_sample_min_size, vae.tile_latent_min_size) == (True, 512, 64)
    large = paint(sliced, an_order(a_spec(width_px=576, steps=1)))
    assert (large.width_px, large.height_px) == (576, 64)


def test_offloaded_parts_give_the_same_bytes(sliced: Engine, toy_folder: Path) -> None:
    """What `offload` does on a graphics card, with the processor in its place."""
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1))
    arrange(engine._models.get("toy").family, "offload", PartOffloader(CPU))
    order = an_order(a_spec(width_px=96))
    assert paint(engine, order).pixels == paint(sliced, order).pixels


def test_a_released_engine_reloads_and_gives_the_same_pixels(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1))
    order = an_order()
    before = paint(engine, order)
    engine.rest()
    assert not engine._models._loaded
    assert paint(engine, order).pixels == before.pixels


@pytest.mark.parametrize(
    "first",
    [
        an_order(a_spec(model="one"), image_id="one-0", num_previews=2),
        an_order(a_spec(model="one", upscale=Upscale(sha256="0" * 64)), image_id="one-0", start_png=a_picture()),
    ],
    ids=["painted", "enlarged"],
)
def test_only_an_unused_model_is_evicted(
    toy_folder: Path, monkeypatch: pytest.MonkeyPatch, first: GenerateCommand
) -> None:
    """A model in use is held: evicting it frees nothing, and a preview or the end would load it again."""
    monkeypatch.setattr("generation.engine.models._ROOM_FACTOR", float("inf"))
    engine = Engine(
        [toy_model(toy_folder, name=name) for name in ("idle", "one", "two")], EngineSettings(num_threads=1)
    )
    second = an_order(a_spec(model="two"), image_id="two-0", num_previews=2)
    engine.admit(first)
    engine.admit(second)
    loaded = dict(engine._models._loaded)
    assert set(loaded) == {"one", "two"}
    said = ends(run(engine))
    assert engine._models._loaded == loaded and all(isinstance(end, Finished) for end in said.values())
    paint(engine, an_order(a_spec(model="idle")))
    assert set(engine._models._loaded) == {"idle"}


def test_an_idle_worker_releases_memory_and_takes_the_next_command(toy_folder: Path) -> None:
    engine = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1))
    reading, writing = os.pipe()
    said: list[Event] = []
    ended: list[int] = []
    source = open(reading, "rb", buffering=0)  # noqa: PTH123, SIM115
    inbox = Inbox(source, end=ended.append)
    worker = threading.Thread(target=serve, args=(engine, inbox, said.extend), kwargs={"idle_s": 0.05})
    worker.start()
    wait_for(lambda: not engine._models._loaded)
    os.write(writing, encode(an_order()))
    wait_for(lambda: any(isinstance(event, Finished) for event in said))
    wait_for(lambda: not engine._models._loaded)
    os.write(writing, encode(Close()))
    worker.join(60)
    assert not worker.is_alive() and not ended
    os.close(writing)
    wait_for(lambda: ended == [0])
    source.close()


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_an_engine_at_work_does_not_rest(engine: Engine) -> None:
    order = an_order()
    engine.admit(order)
    engine.rest()
    assert engine._models._loaded
    engine.close()


def test_every_mode_has_a_name_for_settings() -> None:
    from typing import get_args

    import config

    assert get_args(config.Settings.model_fields["memory"].annotation) == ("auto", *MODES)


def test_channels_last_weights_give_the_same_picture(toy_folder: Path, engine: Engine) -> None:
    """The layout CUDA gets, tried on the processor; bytes may differ, so CUDA's fingerprint names it."""
    laid_out = Engine([toy_model(toy_folder)], EngineSettings(num_threads=1))
    with torch.inference_mode():
        lay_out(list_networks(laid_out._models.get("toy").family), OnCuda(CPU, torch.float32, 1))
    order = an_order(a_spec(sampler="Euler a"))
    first = paint(laid_out, order)
    assert paint(laid_out, an_order(order.spec, replay=first.trace)).pixels == first.pixels
    assert abs(as_array(first) - as_array(paint(engine, order))).max() <= 2


class OnCuda(Device):
    """A device that is laid out as CUDA is."""

    @property
    def is_channels_last(self) -> bool:
        return True


def test_the_largest_picture_follows_from_weights_number_format_and_mode(toy_folder: Path) -> None:
    """What is left beside the weights, over what a pixel takes: 768 numbers in the VAE, 130 in the denoiser."""
    model = toy_model(toy_folder)
    weights = loaded_bytes(model, 4)
    assert find_largest_px(model, 4, "full", weights + 768 * 4 * 10_000).picture == 10_000
    assert find_largest_px(model, 2, "full", loaded_bytes(model, 2) + 768 * 2 * 10_000).picture == 10_000
    assert find_largest_px(model, 4, "full", weights - 1) == (0, 0)
    tiled = weights + 768 * 4 * 512 * 512
    assert find_largest_px(model, 4, "sliced", tiled) == (768 * 512 * 512 // 130,) * 2
    assert find_largest_px(model, 4, "sliced", tiled - 1) == (0, 0)
    whole, sliced = (find_largest_px(model, 4, mode, tiled) for mode in ("full", "sliced"))
    assert whole.find_for(1) == whole.find_for(5) == 512 * 512, "the VAE takes more than five rows"
    assert sliced.find_for(4) == sliced.find_for(1) // 4
    assert find_largest_px(model, 4, "offload", tiled) > find_largest_px(model, 4, "sliced", tiled)


def test_what_is_computed_is_predicted_by_family(tmp_path: Path) -> None:
    """The VAE of Qwen-Image and Krea 2 takes 1,732 numbers a pixel. A folder without files has no weights."""
    for family, info in FAMILIES.items():
        model = toy_model(tmp_path / family, family=family)
        decoded = 1732 if info.title.startswith(("Qwen", "Krea")) else 768
        assert find_largest_px(model, 2, "full", decoded * 2 * 10_000).picture == 10_000, family
        assert find_largest_px(model, 2, "sliced", decoded * 2 * 512 * 512).picture > 10_000, family
