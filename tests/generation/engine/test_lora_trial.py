"""A LoRA is tried, before it is added, on the models that were added and on those that were published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.registry import ModelRegistry
from generation.requests.prompt_addons import PromptAddon
from generation.workers.trial_load import require_fitting
from tests.generation.engine.toy_extras import ATTENTION, an_extra, kohya_lora
from tests.generation.engine.trial_here import require_fitting_here

TO_KEYS = "lora_unet_" + ATTENTION.format(which=2, part="to_k").replace(".", "_")


def add(models_dir: Path, path: Path) -> None:
    add_path(
        models_dir,
        path,
        say=lambda line: None,
        name=path.stem,
        require_loadable=lambda model: None,
        require_fitting=require_fitting_here,
    )


def a_lokr(path: Path, *, gives: int) -> PromptAddon:
    save_file({f"{TO_KEYS}.lokr_w1": torch.ones(2, 2), f"{TO_KEYS}.lokr_w2": torch.ones(gives // 2, 8)}, path)
    return an_extra(path)


def test_one_for_a_model_of_its_own_is_added_after_that_model(toy_folder: Path, tmp_path: Path) -> None:
    lora = kohya_lora(tmp_path / "ink.safetensors")
    with pytest.raises(ConfigurationError, match=r"reads prompts of 16 numbers a token.*Add the model that it is for"):
        add(tmp_path / "models", lora.path)
    add(tmp_path / "models", toy_folder)
    add(tmp_path / "models", lora.path)
    add(tmp_path / "models", a_lokr(tmp_path / "kron.safetensors", gives=16).path)
    assert [entry.name for entry in ModelRegistry.read(tmp_path / "models").entries] == ["model", "ink", "kron"]


def test_factors_that_do_not_multiply_to_the_layer_are_refused(toy_folder: Path, tmp_path: Path) -> None:
    add(tmp_path / "models", toy_folder)
    with pytest.raises(ConfigurationError) as refused:
        add(tmp_path / "models", a_lokr(tmp_path / "kron.safetensors", gives=24).path)
    said = str(refused.value)
    assert said.startswith(f"With {toy_folder}: “kron” cannot be used") and "is 16 to 24, here it is 16 to 16." in said
    assert [entry.name for entry in ModelRegistry.read(tmp_path / "models").entries] == ["model"]


def test_a_model_that_is_broken_stops_no_lora(toy_folder: Path, tmp_path: Path) -> None:
    add(tmp_path / "models", toy_folder)
    lora = kohya_lora(tmp_path / "ink.safetensors")
    broken = tmp_path / "broken" / "unet"
    broken.mkdir(parents=True)
    (broken / "config.json").write_text('{"cross_attention_dim": 16, "block_out_channels": "many"}')
    require_fitting_here(lora, (broken.parent, toy_folder))


def test_the_process_of_its_own_says_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    name = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
    save_file({f"{name}.lora_down.weight": torch.ones(2, 2048), f"{name}.lora_up.weight": torch.ones(320, 2)}, path)
    with pytest.raises(ConfigurationError, match=r"With Stable Diffusion XL: “wide” .* here it is 2048 to 640"):
        require_fitting(an_extra(path), ())
