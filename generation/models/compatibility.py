"""Whether the parts of a model fit each other and can be painted with, told from settings and headers. No torch.

A loader would find this out after half a minute, with an unhelpful error, or would not find it out at all: without
word lists transformers makes up a vocabulary of two, and every prompt paints the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from generation.models.checkpoint import (
    LATENT_CHANNELS,
    UNET,
    IncompatibleFileError,
    Shapes,
    context_width,
    require_usable_unet,
    text_shape,
)
from generation.models.families import FAMILIES, FamilyInfo
from generation.models.json_file import read_json
from generation.models.language_kinds import LANGUAGES, find_language
from generation.models.quantised import require_plain_settings
from generation.models.transformer_file import derive_transformer

Settings = Mapping[str, Any]
_WHOLE = 0.9
"""Part of the text encoder's ids that must stand for a word."""
_MORE_INPUTS = ("time_cond_proj_dim", "class_embed_type", "num_class_embeds", "encoder_hid_dim", "encoder_hid_dim_type")
_OTHER_INPUTS = ("use_additional_t_cond", "use_layer3d_rope")
_EDITING_INPUT = "zero_cond_t"
"""Settings of relatives of Qwen-Image: of those that paint in layers, and of those that edit pictures."""
_OTHER_SETTINGS = "Name a model folder of the same kind with --config."
_FETCH = "Fetch the model again."


def check_parts(folder: Path, family: str, *, has_other_vae: bool = False) -> None:
    """Raise `IncompatibleFileError` unless the settings in a model folder are those of one model of that family."""
    if not (folder / "scheduler" / "scheduler_config.json").is_file():
        raise IncompatibleFileError("has no scheduler/scheduler_config.json", _FETCH)
    info = FAMILIES[family]
    for part in info.weights:
        if (folder / part / "config.json").is_file():
            require_plain_settings(part, read_json(folder / part / "config.json"))
    denoiser = read_json(folder / info.denoiser / "config.json")
    texts = {part: _read_text_settings(folder, part) for part in info.text_encoders}
    if info.reads_clip:
        _check_unet(denoiser, family, list(texts.values()))
    else:
        _check_transformer(denoiser, info, [texts[part] for part in info.text_parts or texts])
    if not has_other_vae:
        channels = read_latent_channels(read_json(folder / "vae" / "config.json"), info)
        if channels != info.latent_channels:
            raise IncompatibleFileError(f"has a VAE of {channels} latent channels, not {info.latent_channels}")
    for part, text in texts.items():
        _check_words(folder / part.replace("text_encoder", "tokenizer"), _number(text, "vocab_size", 49408))


def read_latent_channels(vae: Settings, info: FamilyInfo) -> object:
    """Return the channels of the latents that a VAE's settings name; where they do not, those of its class."""
    usual = LATENT_CHANNELS if info.reads_clip else info.latent_channels
    return vae.get("latent_channels", vae.get("z_dim", usual))


def check_checkpoint(shapes: Shapes, folder: Path, family: str) -> None:
    """Raise `IncompatibleFileError` unless a single file's weights are of the sizes that the settings in a folder
    say."""
    unet = read_json(folder / "unet" / "config.json")
    blocks = unet.get("block_out_channels") or (320,)
    for what, has, wants in (
        ("UNet is", shapes[f"{UNET}input_blocks.0.0.weight"][0], blocks[0]),
        ("UNet reads prompts", context_width(shapes), unet.get("cross_attention_dim", 1280)),
        *(
            ("text encoder is", shape[1], _number(_read_text_settings(folder, part), "hidden_size", 512))
            for part in FAMILIES[family].text_encoders
            if (shape := text_shape(shapes, family, part)) is not None
        ),
    ):
        if isinstance(wants, int) and has and has != wants:
            problem = f"does not fit the settings in {folder}: its {what} {has} wide, there it is {wants}"
            raise IncompatibleFileError(problem, _OTHER_SETTINGS)


def check_transformer_file(shapes: Shapes, folder: Path, family: str) -> None:
    """Raise `IncompatibleFileError` unless a transformer in one file is of the sizes that the settings in a folder
    say."""
    settings = read_json(folder / "transformer" / "config.json")
    for name, has in derive_transformer(shapes, family).items():
        if isinstance(has, int) and name in settings and settings[name] != has:
            problem = f"does not fit the settings in {folder}: its {name} is {has}, there it is {settings[name]}"
            raise IncompatibleFileError(problem, _OTHER_SETTINGS)


def _check_unet(unet: Settings, family: str, texts: list[Settings]) -> None:
    require_usable_unet(unet.get("in_channels", LATENT_CHANNELS))
    if (predicted := unet.get("out_channels", LATENT_CHANNELS)) != LATENT_CHANNELS:
        raise IncompatibleFileError(f"has a UNet that predicts {predicted} channels, not {LATENT_CHANNELS}")
    embeds = "text_time" if family == "sdxl" else None
    more = [name for name in _MORE_INPUTS if unet.get(name) is not None]
    if more or unet.get("addition_embed_type") != embeds:
        which = more[0] if more else "addition_embed_type"
        raise IncompatibleFileError(f"has a UNet that takes other inputs than latents, timestep and prompt ({which})")
    width, reads = unet.get("cross_attention_dim", 1280), sum(_number(text, "hidden_size", 512) for text in texts)
    if isinstance(width, int) and width != reads:
        problem = f"mixes the parts of two models: its text is {reads} numbers a token wide, its UNet reads {width}"
        raise IncompatibleFileError(problem, _FETCH)


def _check_transformer(transformer: Settings, info: FamilyInfo, texts: list[Settings]) -> None:
    """Raise `IncompatibleFileError` unless a transformer takes the latents and the text of its family."""
    wanted = info.latent_channels * info.cells_per_latent
    if (channels := transformer.get("in_channels", wanted)) != wanted:
        raise IncompatibleFileError(f"has a transformer that takes {channels} channels, not {wanted}")
    others = _OTHER_INPUTS if info.max_references else (*_OTHER_INPUTS, _EDITING_INPUT)
    if other := next((flag for flag in others if transformer.get(flag)), ""):
        raise IncompatibleFileError(f"has a transformer that takes other inputs than those of {info.title} ({other})")
    if info.language and (found := find_language(texts[0].get("model_type"))) is not LANGUAGES[info.language]:
        named = found.title if found else texts[0].get("model_type")
        raise IncompatibleFileError(
            f"has a text encoder of the kind {named}, and {info.title} reads {LANGUAGES[info.language].title}", _FETCH
        )
    width, reads = transformer.get(info.text_width, 0), sum(_read_width(text) for text in texts)
    if isinstance(width, int) and width and width != reads * info.text_layers:
        problem = f"mixes the parts of two models: its text is {reads * info.text_layers} numbers a token wide, its"
        raise IncompatibleFileError(f"{problem} transformer reads {width}", _FETCH)


def _read_width(text: Settings) -> int:
    """Return how many numbers a token has that leaves a text encoder; T5 calls it otherwise."""
    return _number(text, "d_model" if text.get("model_type") == "t5" else "hidden_size", 2560)


def _read_text_settings(folder: Path, part: str) -> Settings:
    settings = read_json(folder / part / "config.json")
    inner = settings.get("text_config")
    return inner if isinstance(inner, dict) else settings


def _check_words(folder: Path, num_ids: int) -> None:
    """Raise `IncompatibleFileError` unless a tokenizer has the words that its text encoder knows."""
    words, num_merges = _read_words(folder)
    name, ids = folder.name, {index for index in words.values() if isinstance(index, int)}
    if len(ids) < _WHOLE * num_ids:
        problem = f"has a word list with {len(ids)} words ({name}), and its text encoder knows {num_ids}"
        raise IncompatibleFileError(problem, _FETCH)
    if min(ids) < 0 or max(ids) >= num_ids:
        raise IncompatibleFileError(
            f"has a word list with more words ({name}) than the {num_ids} its text encoder knows", _FETCH
        )
    pieced = sum(len(word.removesuffix("</w>")) > 1 and not word.startswith("<|") for word in words)
    if num_merges is not None and 2 * num_merges < pieced:
        raise IncompatibleFileError(
            f"has a word list whose words cannot be pieced together ({name}: {num_merges} merges)", _FETCH
        )


def _read_words(folder: Path) -> tuple[Mapping[str, Any], int | None]:
    """Return ids by word, and the number of merges; None where words need none (T5).

    `tokenizer.json` comes first, as it does for the loader.
    """
    if (folder / "tokenizer.json").is_file():
        model = read_json(folder / "tokenizer.json").get("model")
        words, merges = (model.get("vocab"), model.get("merges")) if isinstance(model, dict) else (None, None)
        if isinstance(words, list) and words and all(isinstance(each, list) and each for each in words):
            return {str(word): index for index, (word, *_) in enumerate(words)}, None
        if not isinstance(words, dict) or not isinstance(merges, list):
            raise IncompatibleFileError(f"has a {folder.name}/tokenizer.json that holds no words", _FETCH)
        return words, len(merges)
    for name in ("vocab.json", "merges.txt"):
        if not (folder / name).is_file():
            raise IncompatibleFileError(f"has no word lists: {folder.name}/{name} is missing", _FETCH)
    lines = (folder / "merges.txt").read_text("utf-8", errors="replace").splitlines()
    return read_json(folder / "vocab.json"), sum(bool(line.strip()) and not line.startswith("#") for line in lines)


def _number(settings: Settings, name: str, default: int) -> int:
    value = settings.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise IncompatibleFileError(f"has settings that cannot be used ({name}: {str(value)[:40]})", _FETCH)
    return value
