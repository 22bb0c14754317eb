"""Upscalers of the ESRGAN family in the models folder: added, found by a scan, verified, offered with every model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from cli.models import list_models
from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.catalog import Catalog
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.scan import scan
from generation.models.sizes import choose_upscaler, is_upscaled
from generation.models.verify import verify
from generation.requests.upscalers import find_upscaler
from tests.generation.engine.trial_here import require_fitting_here, require_loadable_here
from tests.generation.engine.upscalers.toy_upscalers import TOYS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


def add(folder: Path, file: Path) -> Entry:
    return add_path(
        folder,
        file,
        say=lambda line: None,
        require_loadable=require_loadable_here,
        require_fitting=require_fitting_here,
    )


def test_an_upscaler_is_added_listed_verified_and_offered_with_every_model(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    file = TOYS["ESRGAN x4"].save(tmp_path / "4x-UltraSharp.safetensors")
    entry = add(folder, file)
    assert (entry.kind, entry.name, entry.scale) == (Kind.UPSCALER, "4x-UltraSharp", 4)
    model = Catalog.open("paintbox", folder).default
    (upscaler,) = model.upscalers
    assert (upscaler.path, upscaler.sha256, upscaler.factors) == (file, entry.files["."], (2, 4))
    assert any(line.startswith("upscaler   4x-UltraSharp  (4x; licence: unknown") for line in list_models(folder))
    assert [found.problem for found in verify(folder)] == [""]
    TOYS["compact x4"].save(file)
    assert [found.problem for found in verify(folder)] == ["it has changed"]
    file.unlink()
    catalog = Catalog.open("paintbox", folder)
    assert catalog.default.upscalers == () and "is not there" in catalog.left_out["4x-UltraSharp"]


def test_a_scan_finds_upscalers_and_leaves_out_those_it_cannot_run(tmp_path: Path) -> None:
    kept = tmp_path / "ESRGAN"
    kept.mkdir()
    for name in ("RealESRGAN x2", "compact x1"):
        TOYS[name].save(kept / f"{name.replace(' ', '-')}.safetensors")
    whole = load_file(TOYS["BSRGAN x4"].save(tmp_path / "whole.safetensors"))
    save_file({name: array for name, array in whole.items() if "RDB2" not in name}, kept / "torn.safetensors")
    save_file({"conv_first.weight": np.ones((4, 3, 3, 3)), "layers.0.swin1.attn.x": np.ones(4)}, kept / "z.safetensors")
    folder = tmp_path / "models"
    found = {each.path.stem: each for each in scan(folder, kept, lambda path: add(folder, path))}
    scales = {each.name: each.scale for each in ModelRegistry.read(folder).entries}
    assert scales == {"RealESRGAN-x2": 2, "compact-x1": 1}
    assert "not whole: 10 of its" in found["torn"].problem
    assert "is an upscaler of the kind DRCT" in found["z"].problem


def test_what_holds_no_numbers_is_not_added(tmp_path: Path) -> None:
    whole = load_file(TOYS["compact x2"].save(tmp_path / "whole.safetensors"))
    save_file(whole | {"body.1.weight": np.full(4, np.nan, np.float32)}, tmp_path / "bad.safetensors")
    with pytest.raises(ConfigurationError, match="not finite"):
        add(tmp_path / "models", tmp_path / "bad.safetensors")
    assert ModelRegistry.read(tmp_path / "models").entries == ()


def test_the_servers_choice_comes_first_then_the_models_own_then_what_was_added(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for name in ("compact x2", "compact x4"):
        add(folder, TOYS[name].save(tmp_path / f"{name[-2:]}.safetensors"))
    model = Catalog.open("paintbox", folder).default
    first, second = model.upscalers
    assert find_upscaler(model.upscalers, "x4") == second
    assert choose_upscaler(model, "x4") == second
    assert choose_upscaler(model, None) is None and choose_upscaler(model, "gone") is None
    other = replace(model, upscaler=None)
    assert choose_upscaler(other, None) == first and is_upscaled(other)
    bare = replace(other, upscalers=())
    assert choose_upscaler(bare, "x4") is None and not is_upscaled(bare)
