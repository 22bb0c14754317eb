"""Folders of Qwen-Image-Edit: taken by their pipeline, refused in a sentence where they cannot see."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from cli import models as command
from generation.engine.devices import choose_device
from generation.engine.families.qwenedit import QwenImageEdit
from generation.engine.model_folder import ModelFolder
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.editing import can_edit
from generation.models.layout import ModelRefusedError
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.toy_files import read_transformer
from tests.generation.engine.toy_qwen import save_toy_qwenedit
from tests.generation.engine.trial_here import require_loadable_here

DEVICE = choose_device(EngineSettings(device="cpu", num_threads=1, dtype="float32", memory="full"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_qwenedit(tmp_path_factory.mktemp("qwenedit"))


def _copy(folder: Path, to: Path, file: str = "model_index.json", **changes: Any) -> Path:
    shutil.copytree(folder, to)
    (to / file).write_text(json.dumps(json.loads((to / file).read_text()) | changes))
    return to


def test_a_folder_is_known_by_its_pipeline(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that the real processors bring lie beside it."""
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)
    plus = _copy(folder, tmp_path / "plus", _class_name="QwenImageEditPlusPipeline")
    for name in ("video_preprocessor_config.json", "chat_template.json"):
        (plus / "processor" / name).write_text("{}")
    for path, family, most in ((folder, "qwenedit", 1), (plus, "qweneditplus", 3)):
        command.add(tmp_path, str(path), name=family, say=lambda line: None)
        model = Catalog.open(family, tmp_path).default
        assert (model.family, model.info.max_references, can_edit(model)) == (family, most, True)
        spec = ImageSpec.for_model(model, prompt="make it snow", seed=1)
        assert (spec.steps, spec.guidance, spec.sampler, spec.width_px) == (28, 4.0, "Euler", 1024)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("model_index.json", {"processor": None}, "its processor is not a Qwen2VLProcessor"),
        ("model_index.json", {"_class_name": "QwenImageEditInpaintPipeline"}, "not of a kind that can be run"),
        ("transformer/config.json", {"use_layer3d_rope": True}, "takes other inputs than those of Qwen-Image-Edit"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused_when_added(
    folder: Path, tmp_path: Path, file: str, changes: dict[str, Any], said: str
) -> None:
    copy = _copy(folder, tmp_path / "copy", file, **changes)
    with pytest.raises(ConfigurationError, match=said):
        command.add(tmp_path / "models", str(copy), name="qwen", say=lambda line: None)


def test_another_text_encoder_is_refused(folder: Path, tmp_path: Path) -> None:
    """When it is added, and by the engine."""
    encoder = folder / "text_encoder"
    with pytest.raises(ConfigurationError, match="--text-encoder is not for Qwen-Image-Edit"):
        command.add(tmp_path, str(folder), name="qwen", text_encoder=str(encoder), say=lambda line: None)
    other = ModelFolder(folder, "qwenedit", parts={"text_encoder": encoder})
    with pytest.raises(ModelRefusedError, match="only the half that reads is used"):
        QwenImageEdit._read_with(other, DEVICE)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("processor/preprocessor_config.json", {"max_pixels": 4}, "its processor cannot be read"),
        ("tokenizer/tokenizer.json", {"added_tokens": []}, r"its tokenizer has no <\|image_pad\|>"),
    ],
    ids=str,
)
def test_what_cannot_see_is_refused_by_the_engine(
    folder: Path, tmp_path: Path, file: str, changes: dict[str, Any], said: str
) -> None:
    copy = _copy(folder, tmp_path / "copy", file, **changes)
    if "tokenizer" in file:
        (copy / "tokenizer" / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ModelRefusedError, match=said):
        QwenImageEdit._read_with(ModelFolder(copy, "qwenedit"), DEVICE)


def test_a_single_file_is_refused(folder: Path, tmp_path: Path) -> None:
    """Its shapes are those of Qwen-Image: its name tells, or the settings that it is given."""
    for name, said, config in (
        ("qwen_image_edit_2509_bf16", "is Qwen-Image-Edit by its name", None),
        ("credited", "is Qwen-Image-Edit by its settings", str(folder)),
        ("credited", "is a transformer alone", None),
    ):
        save_file(read_transformer(folder), tmp_path / f"{name}.safetensors")
        with pytest.raises(ConfigurationError, match=said):
            command.add(
                tmp_path, str(tmp_path / f"{name}.safetensors"), name="qwen", config=config, say=lambda line: None
            )
