"""A transformer in one file with its text encoders and its VAE inside, as ComfyUI saves it: as its folder paints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cli import models as command
from generation.errors import ConfigurationError
from generation.models.registry import Kind, ModelRegistry
from generation.models.verify import verify
from tests.generation.engine.test_author_files import TOYS
from tests.generation.engine.test_several_encoders import NAMED, add, picture, toy
from tests.generation.engine.toy import REAL
from tests.generation.engine.toy_files import PREFIX, read_transformer
from tests.generation.engine.toy_flow import save_toy_flux
from tests.generation.engine.toy_flux_files import Weights, name_flux_as_published, save_ae, save_clip, save_t5
from tests.generation.engine.trial_here import require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
PARTS = {"flux": NAMED, "sd3": TOYS["sd3"].parts}
VAE = {"flux": "vae.", "sd3": "first_stage_model."}


@pytest.fixture(scope="module", params=["flux", pytest.param("sd3", marks=pytest.mark.long)])
def family(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp(family)
    return save_toy_flux(root, vae_width=32, sizes=REAL) if family == "flux" else TOYS["sd3"].save(root)


@pytest.fixture(autouse=True)
def _without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)


def whole(folder: Path, tmp_path: Path, family: str, form: str = "scaled") -> Weights:
    """Return all of a model under the names that ComfyUI gives it."""
    publish = name_flux_as_published if family == "flux" else TOYS["sd3"].publish
    weights = {PREFIX + name: each for name, each in publish(read_transformer(folder)).items()}
    for part, name in PARTS[family].items():
        file = tmp_path / f"part-{name}.safetensors"
        if part == "vae":
            save_ae(folder, file)
        elif name == "t5xxl":
            save_t5(folder, file, form, part=part)
        else:
            save_clip(folder, file, part=part)
        before = VAE[family] if part == "vae" else f"text_encoders.{name}.transformer."
        weights |= {before + inside: each for inside, each in load_file(file).items()}
    return weights | {"text_encoders.clip_l.logit_scale": torch.tensor(4.6)}


def add_words(models_dir: Path, folder: Path, tmp_path: Path) -> None:
    """Add a T5 by itself, whose word list is that of every other."""
    add(models_dir, tmp_path / "part-t5xxl.safetensors", config=str(folder))


def names(models_dir: Path) -> dict[str, Kind]:
    return {each.name: each.kind for each in ModelRegistry.read(models_dir).entries}


def test_it_paints_as_its_folder_and_another_shares_its_parts(folder: Path, tmp_path: Path, family: str) -> None:
    models_dir = tmp_path / "models"
    add(models_dir, folder, name="folder")
    weights = whole(folder, tmp_path, family, "whole")
    save_file(weights, tmp_path / "paints.safetensors")
    add_words(models_dir, folder, tmp_path)
    said = add(models_dir, tmp_path / "paints.safetensors")
    assert "paints-clip_l: a text encoder" in said and "paints-vae: a VAE" in said
    assert "paints-t5xxl" not in said, "it is there already, to the byte"
    assert np.array_equal(picture(toy(models_dir, "paints")), picture(toy(models_dir, "folder")))
    before = names(models_dir)
    assert len(before) == 2 + len(PARTS[family]) == 3 + len(list(models_dir.glob("paints-*.safetensors")))

    first = next(name for name in weights if name.endswith(("img_in.weight", "x_embedder.proj.weight")))
    save_file(weights | {first: weights[first] * 1.1}, tmp_path / "other.safetensors")
    add(models_dir, tmp_path / "other.safetensors")
    assert names(models_dir).keys() == {*before, "other"}, "its parts are those that are there"
    assert not list(models_dir.glob("other-*")) and not list(models_dir.glob("*.part"))
    assert not np.array_equal(picture(toy(models_dir, "other")), picture(toy(models_dir, "paints")))
    add(models_dir, tmp_path / "paints.safetensors", replaces=True)
    assert names(models_dir).keys() == {*before, "other"}
    assert [each.problem for each in verify(models_dir) if each.problem] == []


def test_what_is_missing_is_said_and_nothing_written(folder: Path, tmp_path: Path, family: str) -> None:
    models_dir, file = tmp_path / "models", tmp_path / "paints.safetensors"
    weights = whole(folder, tmp_path, family)
    save_file(weights, file)
    with pytest.raises(ConfigurationError, match=r"There is no word list for a text encoder at .*paints-t5xxl"):
        add(models_dir, file)
    save_file({name: each for name, each in weights.items() if not name.startswith(VAE[family])}, file)
    with pytest.raises(ConfigurationError, match="does not hold all its parts, and its VAE is not named"):
        add(models_dir, file)
    assert names(models_dir) == {} and list(models_dir.glob("*.safetensors")) == []
    named = add(models_dir, save_ae(folder, tmp_path / "ae.safetensors"))
    assert "ae: a VAE" in named
    add_words(models_dir, folder, tmp_path)
    add(models_dir, file, vae="ae")
    assert picture(toy(models_dir, "paints")).any(), "in fp8 with scales, as it is published"
