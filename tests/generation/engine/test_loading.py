"""Model folders are untrusted: what may not be loaded is refused before anything is opened."""

from __future__ import annotations

import json
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from generation.engine.engine import Engine
from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.hashing import hash_files
from generation.models.layout import ModelRefusedError, check_model, check_part
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.toy import save_checker, save_toy, save_toy_xl, save_upscaler, toy_model
from tests.generation.engine.toy_checkpoint import save_checkpoint

Spoil = Callable[[Path], object]
UNET = Path("unet/diffusion_pytorch_model.safetensors")


@pytest.fixture
def folder(toy_folder: Path, tmp_path: Path) -> Path:
    """Return a good model to damage."""
    return Path(shutil.copytree(toy_folder, tmp_path / "model"))


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(path: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(path)
    change(weights)
    save_file(weights, path, metadata={"format": "pt"})


BEFORE_OPENING: dict[str, tuple[Spoil, str]] = {
    "code": (lambda folder: (folder / "unet" / "my_unet.py").write_text("import os"), "holds code"),
    "auto_map": (lambda folder: change_json(folder / "unet/config.json", auto_map={"AutoModel": "x.Y"}), "auto_map"),
    "attention": (
        lambda folder: change_json(folder / "text_encoder/config.json", _attn_implementation="someone/kernel"),
        "_attn_implementation",
    ),
    "attention, in disguise": (
        lambda folder: change_json(folder / "text_encoder/config.json", _attn_implementation_autoset="someone/kernel"),
        "_attn_implementation_autoset",
    ),
    "nested": (
        lambda folder: change_json(folder / "vae/config.json", deep={"er": [{"custom_pipeline": "x"}]}),
        "custom_pipeline",
    ),
    "library": (lambda folder: change_json(folder / "model_index.json", unet=["evil", "UNet2DConditionModel"]), "evil"),
    "class": (
        lambda folder: change_json(folder / "model_index.json", unet=["diffusers", "EvilModel"]),
        "is not a UNet",
    ),
    "link": (lambda folder: (folder / "vae/extra.safetensors").symlink_to("/etc/hostname"), "link out of it"),
    "adapter": (lambda folder: (folder / "text_encoder/adapter_config.json").write_text("{}"), "not a file of a plain"),
    "not json": (lambda folder: (folder / "unet/config.json").write_text("{"), "cannot be read"),
    "deep json": (lambda folder: (folder / "unet/config.json").write_text("[" * 100_000), "cannot be read"),
    "missing part": (lambda folder: shutil.rmtree(folder / "vae"), "vae is missing"),
    "no settings": (lambda folder: (folder / "vae/config.json").unlink(), "config.json is missing"),
    "no index": (lambda folder: (folder / "model_index.json").unlink(), "model_index.json is missing"),
}


def only(weights: str, part: str, suffix: str) -> tuple[Spoil, str]:
    """Store the weights of a part in another format alone."""
    other = f"{Path(weights).stem}{suffix}"

    def spoil(folder: Path) -> None:
        (folder / part / weights).rename(folder / part / other)

    return spoil, f"{part} cannot be read: it has no weights as .safetensors, only {other}"


def missing_shard(folder: Path) -> None:
    """Split weights into two files, and remove one."""
    weights = load_file(folder / UNET)
    (folder / UNET).unlink()
    first, second = (f"diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2))
    save_file(weights, folder / "unet" / first)
    index = {"metadata": {}, "weight_map": dict.fromkeys(weights, first) | {"conv_in.weight": second}}
    (folder / f"{UNET}.index.json").write_text(json.dumps(index))


DIFFUSERS, TRANSFORMERS = "diffusion_pytorch_model.safetensors", "model.safetensors"
BEFORE_OPENING |= {
    "unet .bin": only(DIFFUSERS, "unet", ".bin"),
    "unet .ckpt": only(DIFFUSERS, "unet", ".ckpt"),
    "vae .bin": only(DIFFUSERS, "vae", ".bin"),
    "vae .pt": only(DIFFUSERS, "vae", ".pt"),
    "text encoder .bin": only(TRANSFORMERS, "text_encoder", ".bin"),
    "no weights": (lambda folder: (folder / UNET).unlink(), "unet cannot be read: it has no weights as .safetensors."),
    "weights of another name": (
        lambda folder: (folder / UNET).rename(folder / "unet/model.safetensors"),
        "unet cannot be read: it has no weights",
    ),
    "shards without a list": (
        lambda folder: (folder / UNET).rename(folder / "unet/diffusion_pytorch_model-00001-of-00002.safetensors"),
        "unet cannot be read: it has no weights",
    ),
    "missing shard": (missing_shard, "1 of its 2 files of weights are missing, among them .*-00002-of-00002"),
}

ON_OPENING: dict[str, tuple[Spoil, str]] = {
    "pickle in disguise": (lambda folder: (folder / UNET).write_bytes(b"\x80\x04cos\nsystem\n."), "cannot be read"),
    "huge header": (lambda folder: (folder / UNET).write_bytes(struct.pack("<Q", 2**31) + b"{}"), "cannot be read"),
    "cut short": (lambda folder: (folder / UNET).write_bytes((folder / UNET).read_bytes()[:5000]), "cannot be read"),
    "missing weight": (
        lambda folder: change_weights(folder / UNET, lambda weights: weights.pop("conv_in.weight")),
        "missing, among them conv_in.weight",
    ),
    "not a number": (
        lambda folder: change_weights(folder / UNET, lambda weights: weights["conv_in.weight"].fill_(float("nan"))),
        "is not finite",
    ),
    "other inputs": (lambda folder: change_json(folder / "unet/config.json", time_cond_proj_dim=8), "missing|inputs"),
}


def test_a_good_folder_is_accepted(folder: Path) -> None:
    check_model(folder, "sd")


def test_a_flag_that_chooses_nothing_is_no_reason(folder: Path) -> None:
    """transformers 4.46 to 4.5x wrote it into everything it saved."""
    for part in ("text_encoder", "unet"):
        change_json(folder / part / "config.json", _attn_implementation_autoset=True, _attn_implementation=None)
    check_model(folder, "sd")
    Engine([toy_model(folder)], EngineSettings(num_threads=1)).close()


def test_pickles_beside_the_weights_are_never_opened(folder: Path) -> None:
    """The usual folder has both. A file of which not a byte may be read proves that none was."""
    (folder / "unet" / "diffusion_pytorch_model.bin").mkdir()
    (folder / "vae" / "model.ckpt").write_bytes(b"\x80\x04cos\nsystem\n.")
    Engine([toy_model(folder)], EngineSettings(num_threads=1)).close()


@pytest.mark.parametrize("name", BEFORE_OPENING)
def test_a_folder_is_refused_before_it_is_opened(folder: Path, name: str) -> None:
    spoil, reason = BEFORE_OPENING[name]
    spoil(folder)
    with pytest.raises(ModelRefusedError, match=reason):
        check_model(folder, "sd")


@pytest.mark.parametrize("name", [name for name in BEFORE_OPENING if "." in name or "shard" in name])
def test_weights_that_cannot_be_read_are_refused_before_a_model_is_added(
    folder: Path, tmp_path: Path, name: str
) -> None:
    spoil, reason = BEFORE_OPENING[name]
    spoil(folder)
    with pytest.raises(ModelRefusedError, match=reason):
        add_path(
            tmp_path / "models",
            folder,
            say=lambda line: None,
            require_loadable=lambda model: None,
            require_fitting=lambda lora, folders: None,
        )


@pytest.mark.parametrize("family", ["sd", "sdxl"])
def test_half_precision_weights_are_weights(tmp_path: Path, family: str) -> None:
    folder = save_toy(tmp_path) if family == "sd" else save_toy_xl(tmp_path)
    for file in [*folder.rglob("*.safetensors")]:
        file.rename(file.with_suffix(".fp16.safetensors"))
    check_model(folder, family)
    second = next(folder.glob("text_encoder*/*.safetensors"))
    second.rename(second.with_suffix(".bin"))
    with pytest.raises(ModelRefusedError, match=r"text_encoder(_2)? cannot be read"):
        check_model(folder, family)


def test_a_vae_that_is_replaced_and_settings_beside_a_single_file_need_no_weights(folder: Path, tmp_path: Path) -> None:
    file = save_checkpoint(folder, tmp_path / "single.safetensors")
    (folder / "vae" / DIFFUSERS).unlink()
    check_model(folder, "sd", replaced=("vae",))
    (folder / UNET).unlink()
    check_model(file, "sd", config=folder)
    with pytest.raises(ModelRefusedError, match="unet cannot be read"):
        check_model(folder, "sd", replaced=("vae",))


@pytest.mark.parametrize("save", [save_upscaler, lambda path: save_checker(path, threshold=1.0)])
def test_a_checker_or_upscaler_without_safetensors_is_refused_by_name(tmp_path: Path, save: Spoil) -> None:
    folder = tmp_path / "part"
    save(folder)
    check_part(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelRefusedError, match=r"no weights as .safetensors, only pytorch_model.bin"):
        check_part(folder)


@pytest.mark.parametrize("name", ON_OPENING)
def test_damaged_weights_are_refused(folder: Path, name: str) -> None:
    spoil, reason = ON_OPENING[name]
    spoil(folder)
    with pytest.raises(ModelRefusedError, match=reason):
        Engine([toy_model(folder)], EngineSettings(num_threads=1))


def test_an_unknown_family_is_misconfigured(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="no model family"):
        check_model(folder, "gan")


def test_the_hash_is_of_all_that_is_read_and_of_nothing_else(folder: Path) -> None:
    before = hash_files(folder)
    (folder / "README.md").write_text("words")
    (folder / "unet" / "old.ckpt").write_text("weights that are not opened")
    assert hash_files(folder) == before
    change_json(folder / "scheduler/scheduler_config.json", steps_offset=0)
    assert hash_files(folder) != before
