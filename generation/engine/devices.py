"""Which device, number format and thread count to compute with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from generation.engine.settings import EngineSettings
from generation.errors import Misconfigured

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """Where and in what numbers a model runs. Scheduler arithmetic is float32 whatever `dtype` is."""

    torch_device: torch.device
    dtype: torch.dtype
    num_threads: int

    @property
    def kind(self) -> str:
        return self.torch_device.type


def choose_device(settings: EngineSettings) -> Device:
    """What the settings ask for, or what suits this machine; also fixes the threads and kernels of the process.

    Raises `Misconfigured` for a device that is not there.
    """
    device = torch.device(_find_device() if settings.device == "auto" else settings.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise Misconfigured(problem="No CUDA device can be used here.", remedy="Set the device to auto or cpu.")
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    num_threads = settings.num_threads or num_cores()
    torch.set_num_threads(num_threads)
    return Device(device, _choose_dtype(settings.dtype, device), num_threads)


def num_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _find_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _choose_dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    if name not in _DTYPES:
        raise Misconfigured(problem=f"“{name}” is no number format.", remedy=f"Choose one of: {', '.join(_DTYPES)}.")
    return _DTYPES[name]
