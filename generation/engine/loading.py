"""Loads networks from local files, offline, complete and finite, or says in one sentence why not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES
from safetensors.torch import load_file
from torch import Tensor, nn

from generation.engine import author_names
from generation.engine.devices import Device
from generation.engine.error_classes import is_engine_broken, is_out_of_memory
from generation.engine.stored_t5 import complete_t5
from generation.engine.stored_weights import fill, is_finite, is_of_scale, store, take_scales
from generation.errors import AtelierError
from generation.models.clip_settings import is_big_clip
from generation.models.gguf_header import SUFFIX as GGUF
from generation.models.json_file import read_json
from generation.models.language_names import name_as_transformers
from generation.models.layout import (
    ModelRefusedError,
    check_file,
    check_part,
    weight_files,
)
from generation.models.part_settings import find_text_kind, read_text_settings
from generation.models.safetensors_header import read_tensors
from generation.models.text_files import T5, name_text
from generation.models.transformer_file import strip_prefix
from generation.progress import advance

_FETCH = "Fetch it again."
OTHER_SETTINGS = "Look for a whole copy of it, or name the settings of the same kind of model (--config)."


def load_language(cls: Any, part: Path, device: Device, settings: Path | None = None) -> Any:
    """Return a language model without its head, of that class of transformers, from a folder or a file.

    `settings`: those of the model that it reads for; else a file's are told by its header. Weights in fp8 and GGUF
    stay so.
    """
    if part.is_dir():
        check_part(part)
        # The library would take what lies there for the whole.
        is_part = bool(cls.config_class.base_config_key) or "text_config" in read_json(part / "config.json")
        if not (is_part or holds_small(part)):
            return load_transformer(cls, part, device, attention="sdpa")
        settings = part
    else:
        check_file(part)
    with refusing(part, "it does not fit the settings", OTHER_SETTINGS):
        found = read_text_settings(settings or part)
        config = cls.config_class.from_dict(dict(found))
        with init_empty_weights():
            model = cls._from_config(config, attn_implementation="sdpa")
        is_t5 = find_text_kind(found) == T5
        weights = take_weights(part)
        weights, scales = take_scales(name_text(weights, T5) if is_t5 else name_as_transformers(weights))
        fill(model, weights, scales, device.dtype)
        if is_t5:
            complete_t5(model)
    return ready(part, model, device)


def load_clip(cls: Any, part: Path, device: Device, settings: Path | None = None) -> Any:
    """Return a CLIP text encoder, of that class of transformers, from a folder or a file; `settings` as for
    `load_language`."""
    if part.is_dir():
        check_part(part)
        return load_transformer(cls, part, device, attention="sdpa")
    check_file(part)
    return fill_clip(cls, part, take_weights(part), device, settings or part)


def fill_clip(cls: Any, part: Path, weights: dict[str, Any], device: Device, settings: Path) -> Any:
    """Return a CLIP text encoder from weights of a file, by the names of transformers.

    The sum of CLIP-L is not projected: Stable Diffusion 3 was trained with it as it is.
    """
    with refusing(part, "it does not fit the settings", OTHER_SETTINGS):
        config = cls.config_class.from_dict(dict(read_text_settings(settings)))
        with init_empty_weights():
            model = cls._from_config(config, attn_implementation="sdpa")
        plain, scales = take_scales(dict(weights))
        if not hasattr(model, "text_model"):
            plain, scales = (
                {name.removeprefix("text_model."): each for name, each in found.items()} for found in (plain, scales)
            )
        elif not is_big_clip(config.to_dict()):
            plain["text_projection.weight"] = torch.eye(config.projection_dim, config.hidden_size)
        fill(model, {name: each for name, each in plain.items() if "position_ids" not in name}, scales, device.dtype)
    return ready(part, model, device)


def holds_small(part: Path) -> bool:
    """Return whether a folder's weights, or some, are in fp8: what its library makes whole, without their scales."""
    with refusing(part, "its weights cannot be read"):
        return any(read_tensors(file).stored_bytes for file in weight_files(part))


def load_diffuser(cls: Any, path: Path, device: Device) -> Any:
    """Return a diffusers model from safetensors, complete and finite, on the device."""
    variant = _find_variant(path, "diffusion_pytorch_model")
    options = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    return _load(cls, path, device, {**options, "torch_dtype": device.dtype})


def load_transformer(cls: Any, path: Path, device: Device, *, attention: str = "eager") -> Any:
    """Return a transformers model from safetensors, complete and finite, on the device."""
    variant = _find_variant(path, "model")
    options = {"local_files_only": True, "use_safetensors": True, "variant": variant, "output_loading_info": True}
    return _load(cls, path, device, {**options, "dtype": device.dtype, "attn_implementation": attention})


def fill_transformer(cls: Any, part: Path, settings: Path, device: Device, storage: str) -> Any:
    """Return a diffusion transformer from a file or a folder's files: weights in fp8 and GGUF stay so.

    `storage`: `fp8` for the others too.
    """
    with refusing(part, "it does not fit the settings", OTHER_SETTINGS):
        weights, scales = take_scales(strip_prefix(take_weights(part)))
        with init_empty_weights():
            model = cls.from_config(cls.load_config(settings, local_files_only=True))
        if not weights.keys() >= model.state_dict().keys():
            weights, scales = (_rename(cls, model, each) for each in (weights, scales))
        fill(model, weights, scales, device.dtype)
    if storage:
        store(model)
    return ready(part, model, device)


def _rename(cls: Any, model: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of a transformer under the names of diffusers.

    Converters rename, and cut and join rows: the same for weights and for their scales.
    """
    if cls.__name__ in author_names.BY_CLASS:
        return author_names.rename(cls.__name__, tensors, model.inner_dim)
    renamed: dict[str, Tensor] = SINGLE_FILE_LOADABLE_CLASSES[cls.__name__]["checkpoint_mapping_fn"](dict(tensors))
    return renamed


def take_weights(part: Path) -> dict[str, Any]:
    """Return every tensor of a file of weights, or of a folder's."""
    return {name: each for file in weight_files(part) for name, each in _take_file(file).items()}


def _take_file(file: Path) -> dict[str, Any]:
    with refusing(file, "it cannot be read"):
        if file.suffix == GGUF:
            from generation.engine.gguf_weights import take_gguf  # only for such files: it needs a package of its own

            return take_gguf(file)
        weights: dict[str, Any] = load_file(file)
        return weights


def build(cls: Any, file: Path, weights: dict[str, Any], config: Path, device: Device) -> Any:
    """Return a diffusers model from a single file's weights and a folder's settings, complete and finite."""
    options = {"config": str(config.parent), "subfolder": config.name, "local_files_only": True}
    with refusing(file, f"its {config.name} does not fit the settings", OTHER_SETTINGS):
        model = cls.from_single_file(dict(weights), **options, torch_dtype=device.dtype)
    return ready(file, model, device)


def ready(path: Path, model: Any, device: Device) -> Any:
    """Return the model on its device, for reading only. Raise `ModelRefusedError` if weights are missing or not
    finite."""
    missing = [name for name, weight in model.named_parameters() if weight.is_meta]
    if missing:
        raise build_incomplete(path, missing)
    for name, weight in model.named_parameters():
        if not is_finite(weight):
            raise refusal(path, f"the weight {name} is not finite.", "Look for another copy of it.")
        advance()
    _note_progress(model)
    return model.to(device.home).eval().requires_grad_(False)


def _note_progress(model: Any) -> None:
    """Count each block that has computed as progress: one forward of a large model may take minutes on a processor."""
    for blocks in model.modules():
        if isinstance(blocks, nn.ModuleList):
            for block in blocks:
                block.register_forward_hook(_note_block)


def _note_block(block: nn.Module, inputs: Any, output: Any) -> None:
    advance()


def first_line(error: Exception) -> str:
    """Return the first line of a library's error."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__


@contextmanager
def refusing(path: Path, problem: str, remedy: str = _FETCH) -> Iterator[None]:
    """Raise `ModelRefusedError` for any error of a library on other people's files: libraries raise many kinds.

    Memory that ran out and a broken device say nothing of the file.
    """
    try:
        yield
    except AtelierError:
        raise
    except Exception as error:
        if is_out_of_memory(error) or is_engine_broken(error):
            raise
        raise refusal(path, f"{problem} ({first_line(error)}).", remedy) from error


def refusal(path: Path, problem: str, remedy: str) -> ModelRefusedError:
    return ModelRefusedError(folder=str(path), problem=problem, remedy=remedy)


def build_incomplete(path: Path, missing: list[str]) -> ModelRefusedError:
    return refusal(path, f"{len(missing)} weights are missing, among them {missing[0]}.", OTHER_SETTINGS)


def _load(cls: Any, path: Path, device: Device, options: dict[str, Any]) -> Any:
    with refusing(path, "its weights cannot be read"):
        model, info = cls.from_pretrained(path, **options)
    if info["missing_keys"]:
        raise build_incomplete(path, sorted(info["missing_keys"]))
    if left := sorted(filter(is_of_scale, info["unexpected_keys"])):
        raise refusal(
            path, f"its weights have scales that are not applied ({left[0]}).", "Look for it in bf16 or fp16."
        )
    return ready(path, model, device)


def _find_variant(path: Path, stem: str) -> str | None:
    """Return `fp16` where only half-precision files were downloaded."""
    has_plain = (path / f"{stem}.safetensors").is_file() or (path / f"{stem}.safetensors.index.json").is_file()
    return "fp16" if not has_plain and any(path.glob(f"{stem}.fp16*.safetensors")) else None
