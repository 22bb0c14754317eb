"""Loads a model once, to see whether it loads: `python -m generation.engine.trial`, a process of its own.

It runs the engine's own code, so what passes here loads there. Weights stay in the numbers they are written in: they
are mapped from the file, and take little memory beside a bot that paints. Reads a `WorkerConfig` on stdin; writes a
`TrialResult` to stdout.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import torch
from safetensors import safe_open
from transformers import CLIPTextModel, T5EncoderModel

from generation.engine.checkers.clip import load_added
from generation.engine.control.networks import load_control
from generation.engine.counted_work import try_count
from generation.engine.devices import Device, num_cores
from generation.engine.error_classes import is_out_of_memory
from generation.engine.ip_adapter.networks import load_ip_adapter
from generation.engine.language_text import CLASSES
from generation.engine.loading import first_line, load_clip, load_language
from generation.engine.models import LoadedModel
from generation.engine.upscalers.esrgan import EsrganUpscaler, load_network
from generation.errors import ConfigurationError, InvalidRequestError
from generation.models.catalog import Model
from generation.models.gguf_header import SUFFIX as GGUF
from generation.models.layout import weight_files
from generation.models.part_settings import find_text_kind, read_text_settings
from generation.models.text_files import CLIP
from generation.paintbox import MODEL_DIR
from generation.requests.upscalers import Upscaler
from generation.workers.engine_settings import EngineSettings
from generation.workers.frames import TrialResult, decode_config

_TILE_PX = 16
_DTYPES = {"F16": torch.float16, "BF16": torch.bfloat16}


def main() -> None:
    answer = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that other output does not mix with ours
    (model,) = decode_config(sys.stdin.buffer.read()).models
    answer.write(msgspec.json.encode(try_load(model)))
    answer.flush()


def try_load(model: Model, *, counts: bool = True) -> TrialResult:
    """Load a model once. Return why it cannot be loaded, or what it takes; of the built-in one that is known."""
    try:
        with torch.inference_mode():
            denoiser = model.path if model.path.is_file() else model.path / model.info.denoiser
            device = Device(torch.device("cpu"), _find_dtype(denoiser), num_cores())
            for added in model.added_checkers:
                load_added(added, device)
            for control in model.controls:
                load_control(control, device)
            for ip_adapter in model.ip_adapters:
                load_ip_adapter(ip_adapter, device)
            for upscaler in model.upscalers:
                _try_upscaler(upscaler, device)
            if model.text_encoder is not None and model.info.reads_clip:  # that of another model, by itself
                _try_text(model.text_encoder, device)
                model = replace(model, text_encoder=None)
            loaded = LoadedModel(model, device, EngineSettings())
        return TrialResult(work=try_count(model, loaded.family) if counts and model.path != MODEL_DIR else None)
    except (ConfigurationError, InvalidRequestError) as refused:
        return TrialResult(problem=str(refused))
    except Exception as error:
        if is_out_of_memory(error):
            problem = f"There is not enough memory to load {model.path}. Try again when other programs need less."
        else:
            problem = f"The model {model.path} cannot be loaded ({type(error).__name__}: {first_line(error)})."
        return TrialResult(problem=problem)


def _try_text(text: Path, device: Device) -> None:
    """Load a text encoder by itself. Raise `ModelRefusedError` if it does not load."""
    device = replace(device, dtype=_find_dtype(text))
    kind = find_text_kind(read_text_settings(text))
    if kind == CLIP:
        load_clip(CLIPTextModel, text, device)
    else:
        load_language(CLASSES.get(kind, T5EncoderModel), text, device)


def _try_upscaler(file: Upscaler, device: Device) -> None:
    """Enlarge a small tile. Raise `AddonUnusableError` if it cannot be loaded."""
    upscaler = EsrganUpscaler(load_network(file, device), device, scale=file.scale, factor=file.factors[0])
    upscaler.enlarge(np.zeros((_TILE_PX, _TILE_PX, 3), np.uint8))


def _find_dtype(part: Path) -> torch.dtype:
    """Return the number type that most of a part is written in."""
    file = weight_files(part)[0]
    if file.suffix == GGUF:
        return torch.float32
    with safe_open(file, framework="pt") as tensors:
        name = next(iter(tensors.keys()))
        return _DTYPES.get(tensors.get_slice(name).get_dtype(), torch.float32)


if __name__ == "__main__":
    main()
