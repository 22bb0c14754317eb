"""What the machine has and how each model would be kept on it: `python -m generation.engine.hardware`, for the doctor.

It runs the code that a worker runs at its start, so what is said here happens there. Reads a `WorkerConfig` on stdin,
and prints one JSON object. Nothing is loaded.
"""

from __future__ import annotations

import json
import sys

import torch

from generation.engine.devices import Device, choose_device
from generation.engine.memory import choose_mode, free_bytes, wanted_bytes
from generation.workers.frames import WorkerConfig, decode_config

_GIB = 2**30


def main() -> None:
    print(json.dumps(describe(decode_config(sys.stdin.buffer.read()))))  # noqa: T201 - what it is for


def describe(config: WorkerConfig) -> dict[str, object]:
    """Return the device's name, free memory and number format, and the memory mode of each model."""
    device = choose_device(config.settings, config.models)
    free = free_bytes(device.torch_device)
    modes = {}
    for model in config.models:
        weights = wanted_bytes(model, device.dtype.itemsize)
        mode = choose_mode(config.settings.memory, device.torch_device, weights=weights, free=free)
        modes[model.name] = [mode, round(weights / _GIB, 2)]
    return {
        "device": device.kind,
        "name": _name(device),
        "free_gib": round(free / _GIB, 1),
        "dtype": str(device.dtype).removeprefix("torch."),
        "threads": device.num_threads,
        "has_gpu_build": torch.version.cuda is not None or torch.version.hip is not None,
        "models": modes,
    }


def _name(device: Device) -> str:
    if device.kind == "cuda":
        return f"{device.torch_device}: {torch.cuda.get_device_name(device.torch_device)}"
    return "Apple GPU" if device.kind == "mps" else "CPU"


if __name__ == "__main__":
    main()
