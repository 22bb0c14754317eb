"""Each block of a network that has computed is progress: a long forward is no silence, and its worker is not killed."""

from __future__ import annotations

from pathlib import Path

import torch

from generation.engine.engine import Engine
from generation.engine.offload import list_networks
from generation.progress import measure
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, paint
from tests.generation.engine.toy import toy_model
from tests.generation.engine.toy_flow import save_toy_klein, save_toy_zimage, toy_flow_model


def test_every_network_of_every_family_says_how_far_it_is(toy_folder: Path, tmp_path: Path) -> None:
    models = [
        toy_model(toy_folder),
        toy_flow_model(save_toy_zimage(tmp_path / "zimage"), "zimage", name="zimage"),
        toy_flow_model(save_toy_klein(tmp_path / "klein"), "klein", name="klein"),
    ]
    engine = Engine(models, EngineSettings(num_threads=1))
    for model in models:
        noted: dict[int, int] = {}
        networks = list_networks(engine._models.get(model.name).family)
        for network in networks:
            for method in ("forward", "decode"):
                if hasattr(network, method):
                    _watch(network, method, noted)
        paint(engine, an_order(a_spec(model=model.name, steps=1, sampler="Euler")))
        assert set(noted) == {id(each) for each in networks}
        assert all(noted.values()), "each of them noted progress"


def _watch(network: torch.nn.Module, method: str, seen: dict[int, int]) -> None:
    work = getattr(network, method)

    def watched(*args: object, **options: object) -> object:
        before = measure()[0]
        result = work(*args, **options)
        seen[id(network)] = seen.get(id(network), 0) + measure()[0] - before
        return result

    setattr(network, method, watched)
