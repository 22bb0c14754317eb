"""Chooses device, number format and thread count."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from generation.engine.autotune import MeasurementCache, bfloat16_gain, is_much_faster
from generation.engine.memory import OFFLOADING, choose_mode, fits, free_bytes, machine_bytes, wanted_bytes
from generation.engine.packed_convolutions import can_pack, pack
from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.workers.engine_settings import EngineSettings

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Device:
    """Where and in what numbers a model runs. Scheduler arithmetic is float32 whatever `dtype` is."""

    torch_device: torch.device
    dtype: torch.dtype
    num_threads: int
    memory: str = "full"
    """One of `memory.MODES`."""
    openvino: str = ""
    """OpenVINO's version where networks run compiled by it (`generation.engine.compiled`)."""
    cuda_graphs: bool = False
    """Whether forwards run as CUDA graphs (`generation.engine.cuda_graphs`)."""
    packs: bool = False
    """Whether convolutions have packed weights (`generation.engine.packed_convolutions`)."""

    @property
    def is_channels_last(self) -> bool:
        """Whether weights lie channels last. Another layout is other bits, so it is part of the fingerprint."""
        return self.kind == "cuda"

    @property
    def steps_together(self) -> bool:
        """Whether samplers take their steps together (`fused_steps`): on a card by the setting, as long as that is not
        measured."""
        return self.kind != "cuda" or self.cuda_graphs

    @property
    def home(self) -> torch.device:
        """Where parts of a model are while they do not compute."""
        return torch.device("cpu") if self.memory in OFFLOADING else self.torch_device

    @property
    def kind(self) -> str:
        return self.torch_device.type


def choose_device(
    settings: EngineSettings, models: Iterable[Model] = (), measured: MeasurementCache | None = None
) -> Device:
    """Return the device of the settings, or the best one here; also fix the threads and kernels of the process.

    The memory mode must suit the largest of the models. Raise `ConfigurationError` for a device that is not there.
    """
    device = torch.device(_find_device() if settings.device == "auto" else settings.device)
    if device.type == "cuda":
        _require_card(device)
        torch.cuda.set_device(device)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
    num_threads = settings.num_threads or num_cores()
    torch.set_num_threads(num_threads)
    models = tuple(models)
    openvino, cuda_graphs = _choose_openvino(settings, device), _choose_cuda_graphs(settings, device)
    dtype = (
        torch.float32
        if openvino
        else _choose_dtype(settings.dtype, device, num_threads, measured or MeasurementCache(""), models)
    )
    weights = _find_largest(models, dtype)
    memory = choose_mode(settings.memory, device, weights=weights, free=free_bytes(device))
    is_whole = memory == "full"
    packs = is_whole and settings.packs_weights and not openvino and can_pack(device, dtype)
    return Device(device, dtype, num_threads, memory, openvino if is_whole else "", cuda_graphs and is_whole, packs)


def lay_out(networks: Iterable[Any], device: Device) -> None:
    """Put convolution weights in the order this device reads fastest: channels last where it has tensor cores."""
    if device.packs:
        pack(networks)
    if device.is_channels_last:
        for weight in (weight for network in networks for weight in network.parameters() if weight.dim() == 4):
            weight.data = weight.data.to(memory_format=torch.channels_last)


def num_cores() -> int:
    """Return the number of cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _require_card(device: torch.device) -> None:
    if not torch.cuda.is_available():
        raise ConfigurationError(problem="No CUDA device can be used here.", remedy="Set the device to auto or cpu.")
    if (device.index or 0) >= torch.cuda.device_count():
        cards = [f"cuda:{index} ({torch.cuda.get_device_name(index)})" for index in range(torch.cuda.device_count())]
        raise ConfigurationError(problem=f"There is no card {device}.", remedy=f"Choose one of: {', '.join(cards)}.")


def require_openvino() -> str:
    """Return OpenVINO's version. Raise `ConfigurationError` if it is not installed."""
    try:
        return version("openvino")
    except PackageNotFoundError:
        raise ConfigurationError(
            problem="OpenVINO is not installed.",
            remedy='Install it (pip install "atelier-bot[openvino]"), or set ATELIER_CPU_BACKEND=torch.',
        ) from None


def _find_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _choose_card_dtype() -> torch.dtype:
    """Return the half-precision format that the current card has in hardware; cards before Ampere emulate bfloat16."""
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def _choose_openvino(settings: EngineSettings, device: torch.device) -> str:
    """Return OpenVINO's version if it is to be used, else nothing. Raise `ConfigurationError` if it cannot be."""
    if settings.cpu_backend != "openvino":
        return ""
    if device.type != "cpu" or settings.dtype not in ("auto", "float32"):
        raise ConfigurationError(
            problem=f"OpenVINO is for processors, in float32, not for {device.type} in {settings.dtype}.",
            remedy="Set ATELIER_CPU_BACKEND=torch, or ATELIER_DEVICE=cpu and ATELIER_DTYPE=float32.",
        )
    return require_openvino()


def _choose_cuda_graphs(settings: EngineSettings, device: torch.device) -> bool:
    """Return whether graphs are to be used. Raise `ConfigurationError` where there are none."""
    if settings.cuda_graphs and device.type != "cuda":
        raise ConfigurationError(
            problem=f"CUDA graphs are for NVIDIA cards, not for {device.type}.",
            remedy="Set ATELIER_CUDA_GRAPHS=false, or ATELIER_DEVICE=cuda.",
        )
    return settings.cuda_graphs


def _find_largest(models: Iterable[Model], dtype: torch.dtype) -> int:
    return max((wanted_bytes(model, dtype.itemsize) for model in models), default=0)


def _choose_dtype(
    name: str, device: torch.device, num_threads: int, measured: MeasurementCache, models: Iterable[Model]
) -> torch.dtype:
    """Return for `auto`: half precision on CUDA; bfloat16 on processors measured to be much faster with it, and where
    the largest of the models fits in no other; else float32.

    Judged by all the memory there is, not by what is free: it must be the same at each start.
    """
    if name == "auto" and device.type == "cpu":
        if not fits(_find_largest(models, torch.float32), machine_bytes()):
            return torch.bfloat16
        processor = f"{torch.backends.cpu.get_cpu_capability()}, torch {torch.__version__}"
        gain = measured.get(f"bfloat16 over float32, one thread: {processor}", bfloat16_gain)
        return torch.bfloat16 if gain is not None and is_much_faster(gain) else torch.float32
    if name == "auto":
        return _choose_card_dtype() if device.type == "cuda" else torch.float32
    if name not in _DTYPES:
        raise ConfigurationError(
            problem=f"“{name}” is not a number format.", remedy=f"Choose one of: {', '.join(_DTYPES)}."
        )
    return _DTYPES[name]
