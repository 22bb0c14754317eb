"""Weights in scaled fp8 where they are not kept so: in folders, VAE and ControlNets. No scale is left out unsaid."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel
from safetensors.torch import load_file, save_file

from cli import models as command
from generation.engine.control.networks import load_control
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.loading import load_diffuser
from generation.engine.single_file import open_model
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, as_array, paint
from tests.generation.engine.test_stored_weights import add, add_part, multiplied_out, scaled
from tests.generation.engine.toy import REAL
from tests.generation.engine.toy_control import save_toy_control
from tests.generation.engine.toy_files import read_transformer
from tests.generation.engine.toy_flow import save_toy_zimage
from tests.generation.engine.trial_here import require_loadable_here


@pytest.fixture(scope="module")
def zimage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_zimage(tmp_path_factory.mktemp("zimage"))


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def test_a_folder_whose_transformer_is_in_scaled_fp8_is_scaled_too(zimage: Path, tmp_path: Path) -> None:
    """Its library would leave the scales out, and say nothing."""
    small, pictures = scaled(read_transformer(zimage), "weight_scale"), []
    for name, each in (("small", small), ("whole", multiplied_out(small, "weight_scale"))):
        folder = tmp_path / name
        shutil.copytree(zimage, folder)
        save_file(each, folder / "transformer" / "diffusion_pytorch_model.safetensors")
        model = add(tmp_path / "models", folder)
        end = paint(Engine([model], EngineSettings(num_threads=1)), an_order(a_spec(model=name, sampler="Euler")))
        assert (end.storage == "denoiser float8_e4m3fn 1") == (name == "small")
        pictures.append(as_array(end))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


def test_scales_of_vae_and_controlnets_are_applied_or_refused(zimage: Path, tmp_path: Path) -> None:
    """In a file they are multiplied in; in a folder, which a library reads, they are named and refused."""
    vae, here = zimage / "vae", Device(torch.device("cpu"), torch.float32, 1)
    control = save_toy_control(tmp_path / "control", sizes=REAL).path
    models_dir = tmp_path / "models"
    for name, folder in (("vae", vae), ("control", control)):
        small = scaled(load_file(folder / "diffusion_pytorch_model.safetensors"), "scale_weight")
        other = tmp_path / f"{name}-folder"
        shutil.copytree(folder, other)
        save_file(small, other / "diffusion_pytorch_model.safetensors")
        cls = AutoencoderKL if name == "vae" else ControlNetModel
        with pytest.raises(ConfigurationError, match="its weights have scales that are not applied"):
            load_diffuser(cls, other, here)
        save_file(small, tmp_path / f"{name}.safetensors")
        add_part(models_dir, tmp_path / f"{name}.safetensors")
    (added,) = Catalog.open("paintbox", models_dir).controls
    model = add(models_dir, zimage, name="toy", vae="vae")
    loaded = {"vae": open_model(model).vae(here), "control": load_control(added, here)}
    for name, network in loaded.items():
        small = load_file(tmp_path / f"{name}.safetensors")
        plain = multiplied_out(small, "scale_weight")
        assert all(torch.equal(each, plain[key]) for key, each in network.state_dict().items()), name
