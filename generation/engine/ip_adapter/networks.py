"""The IP-Adapters that were added: read once, unchanged since, and kept in memory as long as there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPVisionModelWithProjection

from generation.engine.devices import Device
from generation.engine.errors import AddonMissingError, AddonUnusableError
from generation.engine.families.sd import PromptCache
from generation.engine.ip_adapter.places import find_cross_attentions
from generation.engine.ip_adapter.processor import watch_attentions
from generation.engine.loading import load_transformer, ready, refusal, refusing, take_weights
from generation.engine.memory import OFFLOADING
from generation.engine.offload import PartOffloader
from generation.engine.stored_weights import is_finite, take_whole
from generation.errors import ConfigurationError
from generation.models.hashing import hash_files
from generation.models.ip_adapter_layout import ATTENTION, PROJECTION, read_ip_adapter
from generation.models.ip_adapters import IpAdapterFile
from generation.models.layout import check_file, check_part
from generation.requests.image_prompt import ImagePrompt

_MAX_LOADED = 2
_OTHER_COPY = "Look for a whole copy of it."


@dataclass(frozen=True, slots=True, eq=False)
class IpAdapter:
    """An IP-Adapter in memory, with its image encoder."""

    encoder: Any
    """Its `CLIPVisionModelWithProjection`, and where that was read from: several may have the same."""
    encoder_path: Path
    projection: Any
    """Makes tokens of what the encoder saw."""
    to_k: tuple[Tensor, ...]
    """The weights that make keys of tokens, one for each cross-attention of a UNet; `to_v` likewise."""
    to_v: tuple[Tensor, ...]
    is_plus: bool
    """Whether it sees all patches of a picture, not its summary alone."""
    cache: PromptCache
    """Of tokens, by picture."""


class IpAdapters:
    """IP-Adapters by their SHA-256; those used last stay in memory. One that fails is not tried again as it is."""

    def __init__(self, device: Device, shelf: PartOffloader, *, num_cached: int) -> None:
        """`shelf`: what moves parts to the device, where only the one at work is there. `num_cached`: pictures."""
        self._device, self._shelf, self._num_cached = device, shelf, num_cached
        self._loaded: dict[str, IpAdapter] = {}
        self._failed: dict[str, str] = {}

    def has(self, file: IpAdapterFile) -> bool:
        return file.sha256 in self._loaded

    def get(self, wanted: ImagePrompt, files: Sequence[IpAdapterFile], unet: Any) -> IpAdapter:
        """Return the one that a spec names, loaded if need be (seconds), for a model with that UNet.

        Raise `InvalidRequestError` if it is not among `files`, cannot be loaded, or is for another UNet.
        """
        file = next((each for each in files if each.sha256 == wanted.adapter_sha256), None)
        if file is None:
            raise AddonMissingError(name=wanted.adapter)
        if file.sha256 in self._failed:
            raise AddonUnusableError(name=file.name, why=self._failed[file.sha256])
        found = self._loaded.pop(file.sha256) if self.has(file) else self._load(file)
        self._loaded[file.sha256] = found
        while len(self._loaded) > _MAX_LOADED:
            del self._loaded[next(iter(self._loaded))]
        require_fit(file.name, found, unet)
        watch_attentions(unet)
        return found

    def clear(self) -> None:
        """Let go of those that no image in the making holds."""
        self._loaded.clear()

    def _load(self, file: IpAdapterFile) -> IpAdapter:
        shared = next((each.encoder for each in self._loaded.values() if each.encoder_path == file.encoder), None)
        try:
            loaded = load_ip_adapter(file, self._device, encoder=shared, num_cached=self._num_cached)
        except ConfigurationError as refused:
            self._failed[file.sha256] = str(refused)
            raise AddonUnusableError(name=file.name, why=str(refused)) from None
        if self._device.memory in OFFLOADING:
            self._shelf.keep(loaded.encoder)
        return loaded


def load_ip_adapter(
    file: IpAdapterFile, device: Device, *, encoder: Any | None = None, num_cached: int = 0
) -> IpAdapter:
    """Return an IP-Adapter, complete and finite, on the device; `encoder`: its image encoder, if that is in memory.

    Raise `ConfigurationError` if it cannot be used.
    """
    with refusing(file.path, "it cannot be loaded"):
        if hash_files(file.path, image_encoder=file.encoder, known=file.known_files) != file.sha256:
            raise AddonUnusableError(name=file.name, why="its file has changed since it was added.")
        check_file(file.path)
        check_part(file.encoder)
    seen_by = encoder or load_transformer(CLIPVisionModelWithProjection, file.encoder, device, attention="sdpa")
    with refusing(file.path, "it does not fit its names", _OTHER_COPY):
        weights = {name: each.to(device.home, device.dtype) for name, each in _read(file).items()}
        layout = read_ip_adapter({name: tuple(each.shape) for name, each in weights.items()})
        return IpAdapter(
            encoder=seen_by,
            encoder_path=file.encoder,
            projection=_build_projection(file, weights, device),
            to_k=tuple(weights[f"{ATTENTION}{number}.to_k_ip.weight"] for number in layout.numbers),
            to_v=tuple(weights[f"{ATTENTION}{number}.to_v_ip.weight"] for number in layout.numbers),
            is_plus=layout.is_plus,
            cache=PromptCache(num_cached),
        )


def _read(file: IpAdapterFile) -> dict[str, Tensor]:
    read = take_whole(take_weights(file.path))
    if damaged := [name for name, each in read.items() if not is_finite(each)]:
        raise refusal(file.path, f"the weight {damaged[0]} is not finite.", "Look for another copy of it.")
    return dict(read)


def _build_projection(file: IpAdapterFile, weights: dict[str, Tensor], device: Device) -> nn.Module:
    """Return what makes tokens, by diffusers' own table of names: it is a method of UNets that needs none."""
    own = {name.removeprefix(PROJECTION): each for name, each in weights.items() if name.startswith(PROJECTION)}
    convert: Any = UNet2DConditionModel._convert_ip_adapter_image_proj_to_diffusers
    projection: nn.Module = ready(file.path, convert(None, own, low_cpu_mem_usage=False).to(device.dtype), device)
    return projection


def require_fit(name: str, adapter: IpAdapter, unet: Any) -> None:
    """Raise `AddonUnusableError` unless it has keys for each cross-attention of a UNet, in the right shapes."""
    has = [tuple(each.shape) for each in adapter.to_k]
    wants = [(each.inner_dim, each.cross_attention_dim) for each in find_cross_attentions(unet)]
    if has != wants:
        shown, wanted = (", ".join(f"{a}x{b}" for a, b in sorted(set(shapes))) for shapes in (has, wants))
        sizes = f"its {len(has)} attentions are of {shown}, the model's {len(wants)} of {wanted}"
        raise AddonUnusableError(name=name, why=f"it is made for another network: {sizes}.")
