"""Memory modes of a model: all of it at once and fast, in slices, or one part at a time.

| mode | what it does | what it costs |
|---|---|---|
| `full` | every part stays on the device, whole | nothing |
| `sliced` | attention in slices, the VAE in tiles | time; a large picture's tiles are blended, so other bits |
| `offload` | as `sliced`, and only the part at work is on the device | a copy whenever another part's turn comes |
| `layers` | as `offload`, and of a transformer only the layer at work | a copy of the whole transformer for each step |

`auto` is the first of these that the free memory allows, but never `layers`, which is not measured yet. The mode is
part of the fingerprint.
"""

from __future__ import annotations

import gc
from collections.abc import Collection
from math import prod
from pathlib import Path

import psutil
import torch

from generation.errors import ConfigurationError
from generation.jobs.protocol import LargestPx
from generation.models import film_vae
from generation.models.catalog import Model
from generation.models.checkpoint import UNET, VAE
from generation.models.controls import ControlFile
from generation.models.ip_adapters import IpAdapterFile
from generation.models.layout import weight_files
from generation.models.safetensors_header import read_tensors
from generation.models.weights import list_parts

MODES = ("full", "sliced", "offload", "layers")
OFFLOADING = ("offload", "layers")
GIB = 2**30
_CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux tells a container its limits (cgroup v2)."""
_COMPUTED = {
    "sd": 130,
    "sdxl": 79,
    "sd3": 86,
    "sd3large": 136,
    "qwenimage": 184,
    "qwenedit": 184,
    "qweneditplus": 184,
    "flux": 205,
    "kontext": 205,
    "chroma": 244,
    "zimage": 242,
    "klein": 289,
    "klein9b": 385,
    "ernie": 348,
    "krea2": 300,
}
"""Numbers that are alive at once for each pixel of a picture in one row of the denoiser, by family. Counted on the meta
device with networks of full size at 1024 pixels (Chroma's at 2048), attention aside, which kernels compute in parts;
`sd3large`, `klein9b` and `krea2` by their widths."""
_DECODED, _DECODED_AS_FILM = 768, 1732
"""The same in the VAE of nearly all, and in that of Qwen-Image and Krea 2, counted so."""
_TILE_PX = 512 * 512
_DENOISER_PART = 0.6
"""Part of the weights of a checkpoint in one file that its UNet has at least."""
_ROOM = {"full": (1.5, 1 * GIB), "sliced": (1.1, GIB // 2)}
"""What a mode wants free: so many times the weights, and so many bytes for what is computed."""


def machine_bytes() -> int:
    """Return the memory of the machine, or of its container where that has less."""
    limit = _read_container()
    total = int(psutil.virtual_memory().total)
    return total if limit is None else min(total, limit[0])


def _read_container() -> tuple[int, int] | None:
    """Return the bytes a container may use, and those it uses without what is cached of files; None without a limit."""
    try:
        limit, used = ((_CONTAINER / f"memory.{name}").read_text("ascii").strip() for name in ("max", "current"))
        stat = dict(line.split() for line in (_CONTAINER / "memory.stat").read_text("ascii").splitlines())
        return int(limit), int(used) - int(stat["active_file"]) - int(stat["inactive_file"])
    except (OSError, ValueError, KeyError):  # "max", or not a system with such files
        return None


def free_bytes(device: torch.device) -> int:
    """Return the free memory of the graphics card or, without one, of the machine or its container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    available = int(psutil.virtual_memory().available)
    container = _read_container()
    return available if container is None else max(0, min(available, container[0] - container[1]))


def loaded_bytes(model: Model, itemsize: int, *, without: Collection[Path] = ()) -> int:
    """Return the bytes that a model's weights take once loaded, `itemsize` each, whatever they are written in.

    Counts only what a loader opens: no copies of other kinds, no averages of the training (EMA). Weights that
    cannot be read count nothing: loading them says why. `without`: parts that are in memory.
    """
    return sum(_list_bytes(model, itemsize, without))


def find_largest_px(model: Model, itemsize: int, mode: str, room: int) -> LargestPx:
    """Return how large a picture of that model is at most, where there are `room` bytes; 0 if it never fits.

    Counts what one picture takes alone at least: all weights, or in `offload` those of the largest part, and what the
    denoiser computes with its rows, or the VAE decodes. In other modes than `full` that is one tile.
    """
    parts = _list_bytes(model, itemsize, ())
    weights = sum(parts)
    if mode in OFFLOADING:
        is_whole = model.path.is_file() and model.info.reads_clip
        weights = int(max(parts, default=0) * (_DENOISER_PART if is_whole else 1))
    left = room - weights
    decoded = _DECODED_AS_FILM if model.info.components.get("vae") == film_vae.CLASS else _DECODED
    if mode != "full" and left < decoded * _TILE_PX * itemsize:
        return LargestPx(0, 0)
    rows = max(0, int(left // (_COMPUTED[model.family] * itemsize)))
    return LargestPx(rows if mode != "full" else max(0, int(left // (decoded * itemsize))), rows)


def all_bytes(device: torch.device) -> int:
    """Return the memory of the graphics card or, without one, of the machine or its container."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_bytes()


def _list_bytes(model: Model, itemsize: int, without: Collection[Path]) -> list[int]:
    """Return the bytes of each part, as `loaded_bytes` counts them."""
    parts = (*list_parts(model), *(part for part in (model.safety_checker, model.upscaler) if part is not None))
    wanted = [part for part in parts if part not in without]
    denoiser = model.path if model.path.is_file() else model.path / model.info.denoiser
    stored = {part for part in wanted if part == denoiser and model.storage}
    keeps = not model.info.reads_clip  # weights in fp8 or in blocks stay so
    return [
        _count_bytes(part, itemsize, keeps_small=keeps, is_stored=part in stored, without_vae=model.vae is not None)
        for part in wanted
    ]


def beside_bytes(file: ControlFile | IpAdapterFile, itemsize: int) -> int:
    """Return the bytes that the weights of a ControlNet, or of an IP-Adapter and its encoder, take once loaded."""
    parts = (file.path,) if isinstance(file, ControlFile) else (file.path, file.encoder)
    counts = (_count_bytes(each, itemsize, keeps_small=False, is_stored=False, without_vae=False) for each in parts)
    return sum(counts)


def wanted_bytes(model: Model, itemsize: int) -> int:
    """Return the bytes of a model's weights, and of the largest ControlNet and IP-Adapter that it can have beside."""
    kinds = (model.controls, model.ip_adapters)
    beside = (max((beside_bytes(each, itemsize) for each in files), default=0) for files in kinds)
    return loaded_bytes(model, itemsize) + sum(beside)


def _count_bytes(part: Path, itemsize: int, *, keeps_small: bool, is_stored: bool, without_vae: bool) -> int:
    try:
        headers = [read_tensors(file) for file in weight_files(part)]
    except (OSError, ValueError, KeyError):
        return 0
    shapes = [item for header in headers for item in header.shapes.items()]
    small = {name: size for header in headers for name, size in header.stored_bytes.items()} if keeps_small else {}
    is_checkpoint = any(name.startswith(UNET) for name, _ in shapes)
    unread = ("model_ema.", VAE) if without_vae else ("model_ema.",)
    return sum(
        small.get(name, prod(shape) * (1 if is_stored and len(shape) == 2 else itemsize))
        for name, shape in shapes
        if not (is_checkpoint and name.startswith(unread))
    )


def choose_mode(wanted: str, device: torch.device, *, weights: int, free: int) -> str:
    """Return `wanted`, or the mode that `auto` means for `weights` and `free` bytes.

    Raise `ConfigurationError` for other words.
    """
    if wanted not in ("auto", *MODES):
        raise ConfigurationError(
            problem=f"“{wanted}” is not a way to use memory.", remedy=f"Choose one of: auto, {', '.join(MODES)}."
        )
    # Without a device of its own there is nowhere to move a part to.
    possible = MODES if device.type == "cuda" else MODES[:2]
    if wanted != "auto":
        return wanted if wanted in possible else possible[-1]
    chosen_itself = possible[:3]
    fitting = (mode for mode in chosen_itself if mode in _ROOM and fits(weights, free, mode))
    return next(fitting, chosen_itself[-1])


def fits(weights: int, room: int, mode: str = "sliced") -> bool:
    """Return whether so many bytes of weights, and what is computed with them in that mode, fit in `room` bytes."""
    factor, beside = _ROOM[mode]
    return weights * factor + beside <= room


def give_back(device: torch.device) -> None:
    """Return unused memory to the system: other programs may want the graphics card."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
