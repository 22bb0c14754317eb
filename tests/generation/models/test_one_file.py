"""`models add FILE.safetensors` alone: the settings come from the header, and it paints as with its own folder's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cli import models
from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog, Model
from generation.models.registry import ModelRegistry
from generation.models.verify import verify
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, paint
from tests.generation.engine.toy import REAL, REAL_OPEN_CLIP, Sizes, save_toy, save_toy_xl
from tests.generation.engine.toy_checkpoint import save_checkpoint, save_checkpoint_2, save_checkpoint_xl
from tests.generation.engine.trial_here import require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers
KINDS: dict[str, tuple[Callable[..., Path], Callable[[Path, Path], Path], Sizes]] = {
    "Stable Diffusion 1": (save_toy, save_checkpoint, REAL),
    "Stable Diffusion 2": (save_toy, save_checkpoint_2, REAL_OPEN_CLIP),
    "Stable Diffusion XL": (save_toy_xl, save_checkpoint_xl, REAL_OPEN_CLIP),
    "inpainting": (save_toy, save_checkpoint, replace(REAL, in_channels=9)),
    "inpainting XL": (save_toy_xl, save_checkpoint_xl, replace(REAL_OPEN_CLIP, in_channels=9)),
}
SHORT = ("Stable Diffusion 1", "Stable Diffusion 2")


@pytest.fixture(autouse=True)
def load_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "require_loadable", require_loadable_here)


@pytest.fixture(
    scope="module", params=[pytest.param(each, marks=[pytest.mark.long] * (each not in SHORT)) for each in KINDS]
)
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A model folder, and the same model in one file."""
    save, save_one, sizes = KINDS[request.param]
    root = tmp_path_factory.mktemp("one")
    folder = save(root, sizes=sizes)
    yield folder, save_one(folder, root / "some-512.safetensors")


def add(models_dir: Path, file: Path, **options: Any) -> str:
    said: list[str] = []
    models.add(models_dir, str(file), say=said.append, **options)
    return "\n".join(said)


def painted(models_dir: Path, name: str, **changes: Any) -> bytes:
    model: Model = Catalog.open("paintbox", models_dir).get(name)
    engine = Engine([model], EngineSettings(num_threads=1))
    try:
        spec: ImageSpec = a_spec(model=name, **changes)
        return paint(engine, an_order(spec)).pixels
    finally:
        engine.close()


def test_it_paints_as_with_the_settings_of_its_own_folder(kind: tuple[Path, Path], tmp_path: Path) -> None:
    folder, file = kind
    said = add(tmp_path, file, name="alone")
    assert "It is painted as predicting epsilon" in said and "offered to members" in said
    add(tmp_path, file, name="with-settings", config=str(folder))
    assert painted(tmp_path, "alone") == painted(tmp_path, "with-settings")
    assert painted(tmp_path, "alone") != painted(tmp_path, "alone", seed=6)
    assert [each.problem for each in verify(tmp_path)] == ["", ""]


def as_half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: each.half() if each.is_floating_point() else each for name, each in tensors.items()}


def with_average(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As trainers save it: a second, averaged copy of the network, and the noise schedule."""
    prefix = "model.diffusion_model."
    copy = {
        f"model_ema.diffusion_model{name.removeprefix(prefix).replace('.', '')}": each.clone()
        for name, each in tensors.items()
        if name.startswith(prefix)
    }
    return {**tensors, **copy, "model_ema.decay": torch.tensor(0.9999), "betas": torch.zeros(1000)}


def with_positions(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """As old tools save it: the numbers of the positions too, spoilt by half precision."""
    name = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    return {**tensors, name: torch.arange(77, dtype=torch.float16)[None] - 0.01}


def with_old_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.replace("transformer.text_model.", "transformer."): each for name, each in tensors.items()}


@pytest.mark.parametrize(
    "change",
    [as_half, *(pytest.param(each, marks=pytest.mark.long) for each in (with_average, with_positions, with_old_names))],
)
def test_other_ways_to_save_the_same_model_paint_too(tmp_path: Path, change: Callable[..., dict[str, Tensor]]) -> None:
    file = save_checkpoint(save_toy(tmp_path, sizes=REAL), tmp_path / "plain.safetensors")
    changed = tmp_path / "changed.safetensors"
    save_file(change(load_file(file)), changed)
    for each in (file, changed):
        add(tmp_path / "models", each)
    same = painted(tmp_path / "models", "plain") == painted(tmp_path / "models", "changed")
    assert same is (change is not as_half), "half precision alone moves the picture"


def test_markers_for_v_prediction_need_no_settings_either(tmp_path: Path) -> None:
    file = save_checkpoint(save_toy(tmp_path, sizes=REAL), tmp_path / "plain.safetensors")
    marked = tmp_path / "marked.safetensors"
    save_file({**load_file(file), "v_pred": torch.tensor([]), "ztsnr": torch.tensor([])}, marked)
    said = add(tmp_path / "models", marked)
    assert "predicting v, with zero terminal SNR, as the file says (v_pred)" in said


def test_a_file_with_another_vocabulary_is_refused_and_leaves_no_settings(tmp_path: Path) -> None:
    file = save_checkpoint(save_toy(tmp_path), tmp_path / "letters.safetensors")
    with pytest.raises(ConfigurationError, match="has a word list with more words"):
        add(tmp_path / "models", file)
    assert ModelRegistry.read(tmp_path / "models").entries == ()
    assert not any((tmp_path / "models").rglob("vocab.json"))
