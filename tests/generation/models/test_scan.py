"""`models scan PATH`: the folder of another program, taken as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from cli import models
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.models.registry import Kind, ModelRegistry
from tests.generation.engine.toy import REAL, save_toy
from tests.generation.engine.toy_checkpoint import save_checkpoint
from tests.generation.engine.trial_here import require_loadable_here

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # inside diffusers


@pytest.fixture
def webui(tmp_path: Path) -> Path:
    """As AUTOMATIC1111 and ComfyUI lay out their folders, with what lies around in them."""
    root = tmp_path / "webui" / "models"
    for name in ("Stable-diffusion/mine", "Lora", "loras", "embeddings", "ControlNet", ".cache"):
        (root / name).mkdir(parents=True)
    save_checkpoint(save_toy(tmp_path, sizes=REAL), root / "Stable-diffusion" / "mine" / "harbour.safetensors")
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    lora = {
        f"{name}.lora_down.weight": np.ones((2, 768), np.float32),
        f"{name}.lora_up.weight": np.ones((320, 2), np.float32),
    }
    tags = '{"10_x": {"neon": 20, "night": 15, "one boat": 1}}'
    save_file(lora, root / "Lora" / "glow.safetensors", metadata={"ss_tag_frequency": tags})
    save_file(lora, root / ".cache" / "hidden.safetensors")
    save_file({"emb_params": np.ones((2, 768), np.float32)}, root / "embeddings" / "bad-hands.safetensors")
    save_file({"control_model.x.weight": np.ones((2, 2), np.float32)}, root / "ControlNet" / "canny.safetensors")
    (root / "Stable-diffusion" / "old.ckpt").write_bytes(b"\x80\x04")
    (root / "Lora" / "neon.txt").write_text("notes")
    return root


def scan(tmp_path: Path, root: Path) -> list[str]:
    said: list[str] = []
    models.scan(tmp_path / "models", str(root), say=said.append)
    return said


def snapshot(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*")}


def test_all_that_can_be_used_is_added_and_the_rest_is_named(
    tmp_path: Path, webui: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "require_loadable", require_loadable_here)
    before = snapshot(webui)
    said = scan(tmp_path, webui)
    entries = {entry.name: entry for entry in ModelRegistry.read(tmp_path / "models").entries}
    assert {name: entry.kind for name, entry in entries.items()} == {
        "harbour": Kind.MODEL,
        "glow": Kind.LORA,
        "bad-hands": Kind.EMBEDDING,
    }
    assert entries["glow"].trigger_words == ("neon", "night")
    assert said[-1] == "3 added; 0 there already; 2 left out."
    left = [line for line in said if line.startswith("left out")]
    assert "canny.safetensors" in left[0] and "ControlNet" in left[0]
    assert "old.ckpt" in left[1] and "can run code" in left[1]
    assert snapshot(webui) == before, "nothing is written there"
    assert "harbour" in [model.name for model in Catalog.open("paintbox", tmp_path / "models").models]
    assert scan(tmp_path, webui)[-1] == "0 added; 3 there already; 2 left out."


def test_a_folder_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="There is no folder"):
        scan(tmp_path, tmp_path / "nowhere")
