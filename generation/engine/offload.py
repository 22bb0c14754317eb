"""Sets a loaded model up for a memory mode (`memory.MODES`): slices, tiles, and parts that leave the device."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from accelerate.hooks import ModelHook, add_hook_to_module

from generation.engine.families.base import Family
from generation.engine.memory import OFFLOADING

_MIN_TILE_PX = 512


def arrange(family: Family, mode: str, shelf: PartOffloader) -> None:
    """Set a model's parts up for a mode; `shelf` is that of all models.

    Transformers cannot slice their attention: theirs stays whole.
    """
    if mode == "full":
        return
    if hasattr(family.denoiser, "set_attention_slice"):
        family.denoiser.set_attention_slice("auto")
    family.vae.enable_slicing()
    _tile(family.vae)
    if mode in OFFLOADING:
        for part in list_networks(family):
            # LoRA put layers in later, which would not be fetched.
            is_streamed = mode == "layers" and part is family.denoiser and not hasattr(part, "set_attention_slice")
            shelf.stream(part) if is_streamed else shelf.keep(part)


def list_networks(family: Family) -> list[Any]:
    """Return the networks of a model, in the order they are used."""
    return [*family.text_encoders.values(), family.denoiser, family.vae]


def _tile(vae: Any) -> None:
    """Use tiles of at least 512 pixels: smaller ones show, because the VAE evens out contrast tile by tile."""
    if not hasattr(vae, "tile_sample_min_size"):  # made for films: it takes both sides, and where the next tile begins
        vae.enable_tiling(*(_MIN_TILE_PX,) * 2, *(_MIN_TILE_PX * 3 // 4,) * 2)
        return
    vae.enable_tiling()
    shrink = 2 ** (len(vae.config.block_out_channels) - 1)
    vae.tile_sample_min_size = max(vae.tile_sample_min_size, _MIN_TILE_PX)
    vae.tile_latent_min_size = vae.tile_sample_min_size // shrink


class PartOffloader:
    """Parts of models in the machine's memory. The called one moves to the device; the one before leaves it.

    It holds none of them: a part goes with the last model that has it.
    """

    def __init__(self, device: torch.device, home: torch.device | None = None) -> None:
        self._device = device
        self._home = home or torch.device("cpu")
        self._at_work: weakref.ref[Any] | None = None
        self._kept: weakref.WeakSet[Any] = weakref.WeakSet()

    def keep(self, part: Any) -> None:
        """Move a part off the device until its `forward` (or a VAE's `encode` or `decode`) is called."""
        if part in self._kept:  # two models have it
            return
        self._kept.add(part)
        part.to(self._home)
        add_hook_to_module(part, _Fetch(self), append=True)

    def stream(self, part: Any) -> None:
        """Move a part off the device, and each of its layers to it while that computes."""
        options = {"onload_device": self._device, "offload_device": self._home, "offload_type": "leaf_level"}
        part.enable_group_offload(**options)
        add_hook_to_module(part, _Clear(self), append=True)

    def clear(self) -> None:
        """Move what is at work off the device."""
        before = self._at_work() if self._at_work is not None else None
        if before is not None:
            before.to(self._home)
        self._at_work = None

    def fetch(self, part: Any) -> None:
        """Move a part to the device."""
        if self._at_work is not None and self._at_work() is part:
            return
        self.clear()
        part.to(self._device)
        self._at_work = weakref.ref(part)


class _Fetch(ModelHook):  # type: ignore[misc]
    def __init__(self, shelf: PartOffloader) -> None:
        self._shelf = shelf

    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        self._shelf.fetch(module)
        return args, kwargs


class _Clear(_Fetch):
    def pre_forward(self, module: Any, *args: Any, **kwargs: Any) -> Any:
        self._shelf.clear()
        return args, kwargs
