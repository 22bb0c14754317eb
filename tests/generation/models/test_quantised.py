"""Weights that need a package of a graphics card are known by their marks, and refused in a sentence that says what
helps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from generation.models.checkpoint import IncompatibleFileError
from generation.models.inspect import describe
from generation.models.layout import ModelRefusedError, check_part
from generation.models.quantised import require_plain_settings

MARKS = [
    (("layers.0.up.weight", "layers.0.up.weight.absmax", "layers.0.up.weight.quant_map"), {}, "bitsandbytes"),
    (("layers.0.up.weight.quant_state.bitsandbytes__nf4",), {}, "bitsandbytes"),
    (("layers.0.up.SCB", "layers.0.up.weight_format"), {}, "bitsandbytes"),
    (("blocks.0.qkv.qweight", "blocks.0.qkv.wscales", "blocks.0.qkv.smooth_factor"), {}, "nunchaku"),
    (("blocks.0.qkv.qweight",), {"quantization_config": '{"method": "svdquant"}'}, "nunchaku"),
    (("blocks.0.qkv.qweight",), {"model_class": "NunchakuZImageTransformer2DModel"}, "nunchaku"),
    (("blocks.0.qkv.qweight", "blocks.0.qkv.qzeros"), {}, "GPTQ or AWQ"),
]
HELPS = "Look for the same model in bf16, fp16, fp8 or GGUF."


@pytest.mark.parametrize(("names", "metadata", "what"), MARKS)
def test_a_file_and_a_folder_are_known_by_their_marks(
    tmp_path: Path, names: tuple[str, ...], metadata: dict[str, str], what: str
) -> None:
    """A folder by its weights too: its settings may have lost their note of it."""
    tensors = {name: np.zeros(4, np.uint8) for name in names}
    save_file(tensors, tmp_path / "model.safetensors", metadata)
    with pytest.raises(IncompatibleFileError, match=f"is quantised by {what}") as refused:
        describe(tmp_path / "model.safetensors")
    assert refused.value.remedy == HELPS
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    with pytest.raises(ModelRefusedError, match=f"it is quantised by {what}") as refused_folder:
        check_part(tmp_path)
    assert str(refused_folder.value).endswith(HELPS)


@pytest.mark.parametrize(
    ("method", "what"),
    [
        ("bitsandbytes", "bitsandbytes, which computes on graphics cards only"),
        ("nunchaku_lite", "nunchaku, which computes"),
        ("svdquant", "nunchaku, which computes"),
        ("fp8", "fp8, which is not read here"),
    ],
)
def test_settings_that_name_a_quantiser_are_refused(tmp_path: Path, method: str, what: str) -> None:
    settings = {"model_type": "qwen3", "quantization_config": {"quant_method": method}}
    with pytest.raises(IncompatibleFileError, match=what):
        require_plain_settings("text encoder", settings)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    with pytest.raises(IncompatibleFileError, match=what):
        describe(tmp_path)
