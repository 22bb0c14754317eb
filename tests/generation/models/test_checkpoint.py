"""A table of published models: what is added, and the sentence that refuses the rest. Real files, tiny."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cli import models
from generation.errors import ConfigurationError
from generation.models.checkpoint import UNET
from generation.models.inspect import describe
from generation.models.layout import check_model
from generation.models.registry import ModelRegistry
from tests.generation.engine.toy import save_toy, save_toy_xl
from tests.generation.engine.toy_checkpoint import save_checkpoint, save_checkpoint_2, save_checkpoint_xl
from tests.generation.engine.trial_here import require_loadable_here

FIRST = f"{UNET}input_blocks.0.0.weight"
Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each family, and the same in one file."""
    root = tmp_path_factory.mktemp("toys")
    save_toy(root / "sd")
    save_toy_xl(root / "xl")
    save_checkpoint(root / "sd" / "model", root / "sd.safetensors")
    save_checkpoint_2(root / "sd" / "model", root / "sd2.safetensors")
    save_checkpoint_xl(root / "xl" / "model", root / "xl.safetensors")
    return root


def change_json(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def without(prefix: str) -> Change:
    return lambda tensors: {name: each for name, each in tensors.items() if not name.startswith(prefix)}


def with_channels(number: int) -> Change:
    def change(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        first = tensors[FIRST]
        return tensors | {FIRST: torch.zeros(first.shape[0], number, *first.shape[2:])}

    return change


def only(*names: str) -> Change:
    return lambda tensors: {name: torch.zeros(8, 8) for name in names}


def moved(old: str, new: str) -> Change:
    return lambda tensors: {name.replace(old, new): each for name, each in tensors.items()}


FILES: dict[str, tuple[str, Change, str]] = {
    "instructions": ("sd", with_channels(8), "changes pictures by instructions"),
    "depth": ("sd", with_channels(5), "follows depth"),
    "enlarger of latents": ("sd", with_channels(7), "is an enlarging model"),
    "refiner": (
        "xl",
        moved("conditioner.embedders.1.", "conditioner.embedders.0."),
        "is the refiner of Stable Diffusion XL",
    ),
    "no VAE": ("sd", without("first_stage_model."), "holds no VAE. Add a VAE first"),
    "no VAE, XL": ("xl", without("first_stage_model."), "holds no VAE"),
    "a VAE of 16 channels": (
        "sd",
        lambda tensors: tensors | {"first_stage_model.decoder.conv_in.weight": torch.zeros(8, 16, 3, 3)},
        "latent channels",
    ),
    "no text encoder": ("sd", without("cond_stage_model."), "holds no text encoder"),
    "no second text encoder": ("xl", without("conditioner.embedders.1."), "holds no second text encoder"),
    "no first text encoder": ("xl", without("conditioner.embedders.0."), "holds no text encoder"),
    "XL without text": ("xl", without("conditioner."), "holds no text encoder"),
    "settings of the other family": ("xl", lambda tensors: tensors, "text_encoder"),
    "a wider model": (
        "sd",
        lambda tensors: {
            name: each.repeat(1, 2) if name.endswith("attn2.to_k.weight") else each for name, each in tensors.items()
        },
        "does not fit the settings in",
    ),
    "a wider text encoder": (
        "sd",
        lambda tensors: {
            name: each.repeat(1, 2) if name.endswith("token_embedding.weight") else each
            for name, each in tensors.items()
        },
        "its text encoder is 32 wide, there it is 16. Name a model folder of the same kind with --config.",
    ),
    "Stable Diffusion 3": (
        "sd",
        only(f"{UNET}joint_blocks.0.x_block.attn.qkv.weight"),
        "a model of Stable Diffusion 3",
    ),
    "Stable Diffusion 3, some of it": ("sd", only(f"{UNET}joint_blocks.1.x"), "a model of Stable Diffusion 3"),
    "Flux": ("sd", only(f"{UNET}double_blocks.0.img_attn.qkv.weight"), "a model of Flux"),
    "Flux, some of it, the network alone": (
        "sd",
        only("double_blocks.0.img_attn.qkv.weight", "img_in.weight"),
        "is a model of Flux or of its kind",
    ),
    "Flux Fill, the network alone": (
        "sd",
        lambda tensors: {"double_blocks.0.img_attn.qkv.weight": torch.zeros(1), "img_in.weight": torch.zeros(8, 384)},
        "is FLUX.1 Fill, which sees a mask beside the latents and cannot be used here",
    ),
    "Flux Canny, the network alone": (
        "sd",
        lambda tensors: {"double_blocks.0.img_attn.qkv.weight": torch.zeros(1), "img_in.weight": torch.zeros(8, 128)},
        "is FLUX.1 Canny or Depth, which sees a map beside them and cannot be used here",
    ),
    "Flux Redux": ("sd", only("redux_up.weight", "redux_down.weight"), "is FLUX.1 Redux, which shows pictures"),
    "Chroma": (
        "sd",
        only("distilled_guidance_layer.in_proj.weight", "double_blocks.0.img_attn.qkv.weight", "img_in.weight"),
        "is a transformer alone, and its text encoder is not named",
    ),
    "Z-Image": ("sd", only(f"{UNET}cap_embedder.0.weight", f"{UNET}layers.0.attention.qkv.weight"), "Z-Image"),
    "Qwen-Image": ("sd", only("transformer_blocks.0.attn.add_q_proj.weight", "txt_in.weight"), "Qwen-Image"),
    "another network": ("sd", only(f"{UNET}blocks.0.cross_attn.k.weight"), "is a model of another kind"),
    "UNet alone": ("sd", only("down_blocks.1.attentions.0.proj_in.weight"), "is a UNet alone"),
    "ControlNet": ("sd", only("control_model.input_blocks.0.0.weight", "x.y"), "is a ControlNet"),
    "ControlNet of diffusers": (
        "sd",
        only("controlnet_cond_embedding.conv_in.weight", "down_blocks.0.x"),
        "a ControlNet",
    ),
    "IP-Adapter": ("sd", only("image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"), "that no IP-Adapter here has"),
    "T2I-Adapter": ("sd", only("adapter.conv_in.weight", "adapter.body.0.x.weight"), "is a T2I-Adapter"),
    "motion": ("sd", only("down_blocks.0.motion_modules.0.norm.weight"), "is a motion module"),
    "upscaler": ("sd", only("conv_first.weight", "layers.0.residual_group.td"), "is an upscaler of the kind ATD"),
}


def in_json(path: str, **changes: Any) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / path, **changes)


def words(name: str, text: str) -> Callable[[Path], None]:
    """With word lists in two files, of which one is another."""

    def spoil(folder: Path) -> None:
        (folder / "tokenizer" / "tokenizer.json").unlink()
        for file in ("vocab.json", "merges.txt"):
            shutil.copy(folder.parent / "words" / file, folder / "tokenizer" / file)
        (folder / "tokenizer" / name).write_text(text)

    return spoil


LETTERS = {letter: index for index, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
FOLDERS: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "no scheduler": ("sd", lambda folder: shutil.rmtree(folder / "scheduler"), "scheduler_config.json"),
    "no word lists": ("sd", lambda folder: (folder / "tokenizer/tokenizer.json").unlink(), "has no word lists"),
    "no second word lists": (
        "xl",
        lambda folder: (folder / "tokenizer_2/tokenizer.json").unlink(),
        "has no word lists: tokenizer_2/vocab.json is missing",
    ),
    "merges alone": (
        "sd",
        lambda folder: (folder / "tokenizer/tokenizer.json").rename(folder / "tokenizer/merges.txt"),
        "vocab.json is missing",
    ),
    "an empty word list": ("sd", words("vocab.json", "{}"), "has a word list with 0 words"),
    "half a word list": ("sd", words("vocab.json", json.dumps(LETTERS)), "has a word list with 26 words"),
    "too many words": (
        "sd",
        words("vocab.json", json.dumps({f"{n}": n for n in range(60)})),
        "has a word list with more words",
    ),
    "a word list that is none": ("sd", words("vocab.json", "[]"), "cannot be read"),
    "merges of another list": (
        "sd",
        words("vocab.json", json.dumps({f"word{n}": n for n in range(54)})),
        "cannot be pieced together",
    ),
    "a tokenizer without words": ("sd", in_json("tokenizer/tokenizer.json", model={"vocab": []}), "holds no words"),
    "instructions": ("sd", in_json("unet/config.json", in_channels=8), "changes pictures by instructions"),
    "learned variance": ("sd", in_json("unet/config.json", out_channels=8), "predicts 8 channels"),
    "a consistency model": ("sd", in_json("unet/config.json", time_cond_proj_dim=256), "takes other inputs"),
    "classes": ("sd", in_json("unet/config.json", num_class_embeds=1000), "takes other inputs"),
    "pictures as prompts": ("sd", in_json("unet/config.json", encoder_hid_dim_type="image_proj"), "takes other inputs"),
    "sizes": ("sd", in_json("unet/config.json", addition_embed_type="text_time"), "takes other inputs"),
    "XL without sizes": ("xl", in_json("unet/config.json", addition_embed_type=None), "takes other inputs"),
    "parts of two models": ("sd", in_json("unet/config.json", cross_attention_dim=24), "mixes the parts of two models"),
    "parts of two models, XL": ("xl", in_json("text_encoder_2/config.json", hidden_size=32), "mixes the parts"),
    "a VAE of Flux": ("sd", in_json("vae/config.json", latent_channels=16), "a VAE of 16 latent channels"),
    "settings that are none": ("sd", in_json("text_encoder/config.json", hidden_size="wide"), "cannot be used"),
    "the refiner": (
        "xl",
        in_json("model_index.json", _class_name="StableDiffusionXLImg2ImgPipeline"),
        "StableDiffusionXLImg2ImgPipeline",
    ),
    "Flux Fill": ("sd", in_json("model_index.json", _class_name="FluxFillPipeline"), "FluxFillPipeline"),
}


def refusal(folder: Path, path: Path, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as refused:
        models.add(folder / "models", str(path), say=lambda line: None, name="m", **options)
    said = str(refused.value)
    assert ModelRegistry.read(folder / "models").entries == ()
    assert "\n" not in said and "Fetch it again as safetensors" not in said
    return said


@pytest.mark.parametrize("name", FILES)
def test_an_unusable_checkpoint_is_refused(toys: Path, tmp_path: Path, name: str) -> None:
    of, change, says = FILES[name]
    file = tmp_path / "x.safetensors"
    changed = change(load_file(toys / f"{of}.safetensors"))
    save_file({each: tensor.clone().contiguous() for each, tensor in changed.items()}, file)
    settings = "sd" if name.startswith("settings of the other") else of
    assert says in refusal(tmp_path, file, config=str(toys / settings / "model"))


@pytest.mark.parametrize("name", FOLDERS)
def test_an_unusable_folder_is_refused(toys: Path, tmp_path: Path, name: str) -> None:
    of, spoil, says = FOLDERS[name]
    shutil.copytree(toys / of, tmp_path / of)
    spoil(tmp_path / of / "model")
    assert says in refusal(tmp_path, tmp_path / of / "model")


@pytest.mark.parametrize(
    ("file", "family", "of"), [("sd", "sd", "sd"), ("sd2", "sd", "sd"), ("xl", "sdxl", "xl"), ("sd", "sd", "no vae")]
)
def test_complete_models_are_accepted(toys: Path, tmp_path: Path, file: str, family: str, of: str) -> None:
    path, config = toys / f"{file}.safetensors", toys / ("sd" if of == "no vae" else of) / "model"
    if of == "no vae":
        path = tmp_path / "x.safetensors"
        save_file(without("first_stage_model.")(load_file(toys / "sd.safetensors")), path)
    assert describe(path).family == family
    check_model(path, family, config=config, replaced=("vae",) if of == "no vae" else ())
    check_model(config, family)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of diffusers
@pytest.mark.parametrize("of", ["sd", pytest.param("xl", marks=pytest.mark.long)])
def test_a_trial_load_finds_what_headers_do_not_tell(
    toys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: str
) -> None:
    """One weight less in the middle of a network: no rule of ours knows its name, and the engine would.

    The trial is a process of its own for one family; for the other its code runs here.
    """
    if of == "xl":
        monkeypatch.setattr(models, "require_loadable", require_loadable_here)
    file = tmp_path / "x.safetensors"
    weights = load_file(toys / f"{of}.safetensors")
    save_file(weights, file)
    said: list[str] = []
    models.add(tmp_path / "models", str(file), say=said.append, name="m", config=str(toys / of / "model"))
    assert "offered to members" in said[-1]
    save_file(without(f"{UNET}middle_block.2.out_layers.3.")(weights), file)
    assert "its unet does not fit the settings" in refusal(tmp_path / "again", file, config=str(toys / of / "model"))
