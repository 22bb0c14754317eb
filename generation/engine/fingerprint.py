"""Reads the fingerprint, on which bytes depend in addition to the recipe, from the running process."""

from __future__ import annotations

import platform

import diffusers
import numpy
import torch
import transformers

from generation.engine.devices import Device
from generation.requests.recipe import Fingerprint


def take_fingerprint(device: Device) -> Fingerprint:
    """Return library versions, device, number format, threads and kernels of this process."""
    facts = {
        "torch": str(torch.__version__),
        "diffusers": str(diffusers.__version__),
        "transformers": str(transformers.__version__),
        "numpy": str(numpy.__version__),
        "device": device.kind,
        "dtype": str(device.dtype).removeprefix("torch."),
        "threads": str(device.num_threads),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "attention": "sdpa" if device.memory == "full" else "sliced",
        "memory": device.memory,
        "stages": "encode 1, decode 1",
    }
    if device.openvino:
        facts["openvino"] = device.openvino
    if device.cuda_graphs:
        facts["cuda_graphs"] = "on"
    return Fingerprint(facts | (_read_cuda_facts(device) if device.kind == "cuda" else {}))


def _read_cuda_facts(device: Device) -> dict[str, str]:
    return {
        "gpu": torch.cuda.get_device_name(device.torch_device),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
        "tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "layout": "channels_last" if device.is_channels_last else "contiguous",
        "cudnn_benchmark": str(torch.backends.cudnn.benchmark),
    }
