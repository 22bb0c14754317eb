"""The ControlNets that were added: read once, unchanged since, and kept in memory as long as there is room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import ControlNetModel, ControlNetUnionModel, T2IAdapter, ZImageControlNetModel
from diffusers.loaders.single_file_utils import (
    convert_controlnet_checkpoint,
    convert_z_image_controlnet_checkpoint_to_diffusers,
)

from generation.engine.control.adapter_fit import require_adapter_fit
from generation.engine.control.zimage import find_misfit
from generation.engine.devices import Device, lay_out
from generation.engine.errors import AddonMissingError, AddonUnusableError
from generation.engine.loading import load_diffuser, ready, refusal, refusing, take_weights
from generation.engine.memory import OFFLOADING
from generation.engine.offload import PartOffloader
from generation.engine.stored_weights import take_whole
from generation.errors import ConfigurationError
from generation.models.adapter_layout import name_whole
from generation.models.control_layout import SETTINGS, take_control
from generation.models.controls import ControlFile
from generation.models.hashing import hash_files
from generation.models.layout import check_file, check_part
from generation.models.zimage_control import FAMILY
from generation.requests.control import ADAPTER, MAX_CONTROLS, UNION, Control
from generation.requests.errors import ControlModeUnknownError

_SAME = ("block_out_channels", "layers_per_block", "cross_attention_dim")
"""Settings that a ControlNet shares with the UNet it was made for: by them what it adds has the right shapes."""

_CLASSES: Mapping[str, Any] = {"": ControlNetModel, UNION: ControlNetUnionModel, ADAPTER: T2IAdapter}
_OTHER_COPY = "Look for a whole copy of it."


@dataclass(frozen=True, slots=True, eq=False)
class ControlNetwork:
    """A ControlNet in memory."""

    sha256: str
    network: Any
    kind: str = ""


class ControlNetworks:
    """ControlNets by their SHA-256; those used last stay in memory. One that fails is not tried again as it is."""

    def __init__(self, device: Device, shelf: PartOffloader) -> None:
        """`shelf`: what moves parts of models to the device, where only the one at work is there."""
        self._device, self._shelf = device, shelf
        self._loaded: dict[str, ControlNetwork] = {}
        self._failed: dict[str, str] = {}

    def has(self, file: ControlFile) -> bool:
        return file.sha256 in self._loaded

    def get(self, wanted: Control, files: Sequence[ControlFile], unet: Any) -> ControlNetwork:
        """Return the ControlNet that a spec names, loaded if need be (seconds), for a model with that UNet.

        Raise `InvalidRequestError` if it is not among `files`, cannot be loaded, or is for another UNet.
        """
        file = next((each for each in files if each.sha256 == wanted.network_sha256), None)
        if file is None:
            raise AddonMissingError(name=wanted.network)
        if file.sha256 in self._failed:
            raise AddonUnusableError(name=file.name, why=self._failed[file.sha256])
        if (wanted.kind or "") != file.kind:
            raise AddonUnusableError(name=file.name, why="it is another kind of ControlNet than was asked for.")
        if wanted.mode and wanted.mode not in file.modes:
            raise ControlModeUnknownError(name=file.name, mode=wanted.mode, available=", ".join(file.modes))
        found = self._loaded.pop(file.sha256, None) or self._load(file)
        self._loaded[file.sha256] = found
        while len(self._loaded) > MAX_CONTROLS:
            del self._loaded[next(iter(self._loaded))]
        require_fit(file, found.network, unet)
        return found

    def clear(self) -> None:
        """Let go of those that no image in the making holds."""
        self._loaded.clear()

    def _load(self, file: ControlFile) -> ControlNetwork:
        try:
            network = load_control(file, self._device)
        except ConfigurationError as refused:
            self._failed[file.sha256] = str(refused)
            raise AddonUnusableError(name=file.name, why=str(refused)) from None
        if self._device.memory in OFFLOADING:
            self._shelf.keep(network)
        return ControlNetwork(file.sha256, network, file.kind)


def load_control(file: ControlFile, device: Device) -> Any:
    """Return a ControlNet, complete and finite, on the device. Raise `ConfigurationError` if it cannot be used."""
    with refusing(file.path, "it cannot be loaded"):
        if hash_files(file.path, config=file.config, known=file.known_files) != file.sha256:
            raise AddonUnusableError(name=file.name, why="its file has changed since it was added.")
        network = _read(file, device)
    lay_out((network,), device)
    if device.memory != "full" and hasattr(network, "set_attention_slice") and file.kind != ADAPTER:
        network.set_attention_slice("auto")
    return network


def _read(file: ControlFile, device: Device) -> Any:
    kind = ZImageControlNetModel if file.family == FAMILY else _CLASSES[file.kind]
    if file.config is None:
        check_part(file.path)
        return load_diffuser(kind, file.path, device)
    check_file(file.path)
    return ready(file.path, _build(kind, file.path, file.config / SETTINGS, device), device)


def _build(kind: Any, path: Path, settings: Path, device: Device) -> Any:
    """Return a ControlNet from the weights in a file. Raise `ModelRefusedError` if they do not fit the settings."""
    with refusing(path, "it does not fit its settings", _OTHER_COPY):
        config = kind.load_config(settings)
        with torch.device("meta"):
            network = kind.from_config(config)
        read = take_whole(take_weights(path))
        own = _rename(kind, read, config)
        weights = {name: each.to(device.dtype) for name, each in own.items() if each is not None}
        missing = network.load_state_dict(weights, strict=False, assign=True).missing_keys
        if missing:
            raise refusal(path, f"{len(missing)} weights are missing, among them {missing[0]}.", _OTHER_COPY)
    return network


def _rename(kind: Any, read: dict[str, Any], config: Any) -> dict[str, Any]:
    """Return the weights of a file under the names of diffusers."""
    if kind is T2IAdapter:
        return name_whole(read)
    if kind is ZImageControlNetModel:
        return dict(convert_z_image_controlnet_checkpoint_to_diffusers(read, config))
    return dict(convert_controlnet_checkpoint(take_control(read), config))


def require_fit(file: ControlFile, network: Any, unet: Any) -> None:
    """Raise `AddonUnusableError` unless what a ControlNet adds has the shapes of a UNet."""
    if file.kind == ADAPTER:
        require_adapter_fit(file.name, network.config, unet.config)
        return
    if file.family == FAMILY:
        if why := find_misfit(network, unet):
            raise AddonUnusableError(name=file.name, why=f"it is made for another network: {why}.")
        return
    for name in _SAME:
        has, wants = (_listed(each.config.get(name)) for each in (network, unet))
        if has != wants:
            why = f"it is made for another network: its {name} is {has}, the model's is {wants}."
            raise AddonUnusableError(name=file.name, why=why)


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
