"""Folders of Qwen-Image: taken by what their settings say, refused in a sentence where parts do not fit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli import models as command
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.requests.prompt_addons import PromptAddon, fits
from generation.requests.spec import ImageSpec
from tests.generation.engine.toy_qwen import save_toy_qwenimage
from tests.generation.engine.trial_here import require_loadable_here


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_toy_qwenimage(tmp_path_factory.mktemp("qwenimage"))


def test_a_folder_is_known_by_its_pipeline(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "require_loadable", require_loadable_here)
    command.add(tmp_path, str(folder), name="qwen", say=lambda line: None)
    model = Catalog.open("qwen", tmp_path).default
    assert (model.family, model.info.title, model.samplers) == ("qwenimage", "Qwen-Image", ("Euler a", "Euler", "LCM"))
    spec = ImageSpec.for_model(model, prompt="a harbour", seed=1)
    assert (spec.steps, spec.guidance, spec.sampler, spec.width_px) == (28, 4.0, "Euler", 1024)


@pytest.mark.parametrize(
    ("file", "changes", "said"),
    [
        ("transformer/config.json", {"in_channels": 16}, "takes 16 channels, not 64"),
        ("transformer/config.json", {"joint_attention_dim": 32}, "its text is 256 numbers a token wide"),
        ("transformer/config.json", {"use_layer3d_rope": True}, "takes other inputs than those of Qwen-Image"),
        ("transformer/config.json", {"zero_cond_t": True}, "takes other inputs than those of Qwen-Image"),
        ("vae/config.json", {"z_dim": 48}, "VAE of 48 latent channels, not 16"),
        ("model_index.json", {"_class_name": "QwenImageLayeredPipeline"}, "is Qwen-Image-Layered, which paints one"),
        ("model_index.json", {"_class_name": "QwenImage21Pipeline"}, "is Qwen-Image 2.1"),
        ("model_index.json", {"_class_name": "HiDreamImagePipeline"}, "is HiDream-I1, a mixture of experts"),
        ("model_index.json", {"_class_name": "NucleusMoEImagePipeline"}, "is NucleusMoE, a mixture of experts"),
        ("model_index.json", {"_class_name": "Flux2Pipeline"}, "is FLUX.2 dev, whose weights take 105 GiB"),
        ("model_index.json", {"_class_name": "Ideogram4Pipeline"}, "is Ideogram 4, which reads prompts in a format"),
        ("model_index.json", {"_class_name": "SanaPipeline"}, r"not of a kind that can be run \(SanaPipeline\)"),
        ("model_index.json", {"text_encoder": ["transformers", "Qwen3Model"]}, "text_encoder is not a Qwen2_5_VL"),
        ("scheduler/scheduler_config.json", {"shift_terminal": 2}, "must be from 0 to 0.9"),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_are_refused_when_added(
    folder: Path, tmp_path: Path, file: str, changes: dict[str, Any], said: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / file).write_text(json.dumps(json.loads((copy / file).read_text()) | changes))
    with pytest.raises(ConfigurationError, match=said):
        command.add(tmp_path / "models", str(copy), name="qwen", say=lambda line: None)
    assert not (tmp_path / "models" / "models.json").exists()


def test_a_model_of_modular_pipelines_alone_is_refused(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "model_index.json").rename(copy / "modular_model_index.json")
    with pytest.raises(ConfigurationError, match="is only for diffusers' modular pipelines"):
        command.add(tmp_path / "models", str(copy), name="qwen", say=lambda line: None)


def test_lora_of_stable_diffusion_fit_no_transformer(folder: Path, tmp_path: Path) -> None:
    """They say no family; what they read is another width, or not said."""
    model = Catalog.open(str(folder)).default
    for width in (0, 768, 2048):
        made = PromptAddon(name="x", path=tmp_path, sha256="0" * 64, context_width=width)
        assert not fits(model, made)
        assert not fits(replace(model, family="krea2"), made)
