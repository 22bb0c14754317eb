"""The VAE of Qwen-Image and Krea 2, made for films: two pictures at once, and large ones in tiles."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import torch
from torch import Tensor

from generation.engine.engine import Engine
from generation.engine.families.base import Family
from generation.engine.offload import PartOffloader, arrange
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.toy_flow import toy_flow_model
from tests.generation.engine.toy_qwen import save_toy_qwenimage

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_qwenimage(tmp_path_factory.mktemp("qwenimage"))


@pytest.fixture
def family(folder: Path) -> Family:
    engine = Engine([toy_flow_model(folder, "qwenimage")], EngineSettings(num_threads=1))
    return engine._models.get("toy").family


def draw(seed: int, *, width: int = 8) -> Tensor:
    return torch.randn(1, 16, 8, width, generator=torch.Generator().manual_seed(seed))


def test_two_pictures_decoded_at_once_do_not_read_each_other(family: Family) -> None:
    """Each thread waits for the other where a VAE that two share would note both pictures in one place."""
    latents = [draw(1), draw(2)]
    with torch.inference_mode():
        alone = [family.decode(each) for each in latents]
        both = Barrier(2)

        def wait(*_: Any) -> None:
            both.wait(60)

        family.vae.post_quant_conv.register_forward_hook(wait)
        with ThreadPoolExecutor(2) as threads:
            together = list(threads.map(torch.inference_mode()(family.decode), latents))
    assert [torch.equal(*pair) for pair in zip(alone, together, strict=True)] == [True, True]


@pytest.mark.parametrize("mode", ["sliced", "offload"])
def test_a_large_picture_is_decoded_and_encoded_in_tiles(family: Family, mode: str) -> None:
    with torch.inference_mode():
        whole = family.decode(draw(1, width=72))
        arrange(family, mode, PartOffloader(CPU))
        tiled = family.decode(draw(1, width=72))
        latents = family.encode(tiled, torch.Generator())
        assert torch.equal(family.decode(draw(1)), family.decode(draw(1)))
    assert tiled.shape == whole.shape == (1, 3, 64, 576)
    assert latents.shape == (1, 16, 8, 72)
    assert (tiled - whole).abs().max() > 0 and (tiled - whole)[..., :320].abs().max() < 0.2
