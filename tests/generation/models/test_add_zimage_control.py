"""ControlNets of Z-Image in the models folder: told from their files, with the settings of their build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cli import models as command
from generation.engine.control.networks import load_control
from generation.engine.devices import Device
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.registry import Kind
from generation.models.zimage_control import derive_zimage_control
from tests.generation.engine.test_control_zimage import BUILDS, FULL, PLACES, build, save
from tests.generation.engine.toy_flow import save_toy_zimage

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


@pytest.fixture(autouse=True)
def _without_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is loaded is loaded below; the trial of others is tested with them."""
    monkeypatch.setattr(command, "require_loadable", lambda model: None)


@pytest.mark.parametrize("name", BUILDS)
def test_a_file_and_a_folder_are_added_with_their_family(tmp_path: Path, name: str) -> None:
    folder = save(tmp_path, name, places=(0,)).path
    tensors = load_file(folder / "diffusion_pytorch_model.safetensors")
    if name == "2.0":  # its file holds layers that are not used
        more = build("2.1", places=(0,)).state_dict()
        tensors |= {key: each for key, each in more.items() if key.startswith("control_noise_refiner.")}
        tensors["control_noise_refiner.0.before_proj.weight"].zero_()
    file = tmp_path / f"Union-{name}.safetensors"
    save_file(tensors, file)
    for path in (folder, file):
        entry = command.add(tmp_path / "models", str(path), say=lambda line: None)
        assert (entry.kind, entry.family, entry.control_kind) == (Kind.CONTROL, "zimage", "")
    of_folder, of_file = Catalog.open("paintbox", tmp_path / "models").controls
    whole, loaded = (load_control(each, Device(torch.device("cpu"), torch.float32, 1)) for each in (of_folder, of_file))
    ours, theirs = whole.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert loaded.config.add_control_noise_refiner == BUILDS[name]["add_control_noise_refiner"]
    assert (of_file.preprocessor, of_folder.preprocessor) == ("canny", "none")


@pytest.mark.parametrize("name", BUILDS)
def test_the_settings_of_a_full_size_file_are_those_of_its_build(name: str) -> None:
    with torch.device("meta"):
        network = build(name, places=tuple(PLACES[name]), **FULL)
    derived = derive_zimage_control({key: tuple(each.shape) for key, each in network.state_dict().items()}, None)
    wanted = {key: value for key, value in network.config.items() if key in derived and key != "_class_name"}
    got = {key: value for key, value in derived.items() if key in wanted}
    wanted["control_refiner_layers_places"] = got["control_refiner_layers_places"]
    if name == "2.0":  # told from a file, whose layers for this are zero
        got["add_control_noise_refiner"] = "control_layers"
        wanted["n_refiner_layers"] = got["n_refiner_layers"]
    assert {key: _listed(each) for key, each in got.items()} == {key: _listed(each) for key, each in wanted.items()}


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def test_it_is_offered_with_no_model_of_another_family(tmp_path: Path) -> None:
    models_dir = tmp_path / "models"
    model, network = save_toy_zimage(tmp_path), save(tmp_path, "2.1").path
    command.add(models_dir, str(network), say=lambda line: None, name="net")
    command.add(models_dir, str(model), say=lambda line: None, name="paints")
    catalog = Catalog.open("paints", models_dir)
    fitting = {each.name: [file.name for file in each.controls] for each in catalog.models}
    assert fitting == {"paints": ["net"], "paintbox": []}
    assert any(line.startswith("controlnet net  (for Z-Image; licence") for line in command.list_models(models_dir))


def test_files_that_are_none_are_refused_by_name(tmp_path: Path) -> None:
    many = {f"control_layers.{index}.attention.norm_q.weight": torch.zeros(8) for index in range(31)}
    cases = (
        ({"controlnet_x_embedder.weight": torch.zeros(2, 2)}, "is a ControlNet of another family"),
        ({"control_all_x_embedder.2-1.weight": torch.zeros(8, 64)}, "no ControlNet of Z-Image has"),
        ({"control_all_x_embedder.2-1.weight": torch.zeros(8, 64), **many}, "no ControlNet of Z-Image has"),
    )
    for index, (tensors, said) in enumerate(cases):
        save_file(tensors, tmp_path / f"{index}.safetensors")
        with pytest.raises(ConfigurationError, match=said):
            command.add(tmp_path / "models", str(tmp_path / f"{index}.safetensors"), say=lambda line: None)
