"""What works beside the models of an engine: ControlNets and IP-Adapters, loaded as images need them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from generation.engine.control.features import Networks
from generation.engine.control.networks import ControlNetwork, ControlNetworks
from generation.engine.devices import Device
from generation.engine.ip_adapter.networks import IpAdapters
from generation.engine.memory import beside_bytes
from generation.engine.offload import PartOffloader
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec


class NetworksBeside:
    """ControlNets and IP-Adapters in memory."""

    def __init__(self, device: Device, shelf: PartOffloader, *, num_cached: int) -> None:
        """`num_cached`: the references whose embeddings are kept."""
        self._device = device
        self._controls = ControlNetworks(device, shelf)
        self._ip_adapters = IpAdapters(device, shelf, num_cached=num_cached)

    def get(self, spec: ImageSpec, model: Model, unet: Any, make_room: Callable[[int], None]) -> Networks:
        """Return those of a spec; `make_room` frees so many bytes before one is loaded.

        Raise `InvalidRequestError` if one is not here or cannot be used.
        """

        def require_room(sha256: str, kept: Any, files: Iterable[Any]) -> None:
            for file in files:
                if file.sha256 == sha256 and not kept.has(file):
                    make_room(beside_bytes(file, self._device.dtype.itemsize))

        controls = list[ControlNetwork]()
        for each in spec.controls:
            require_room(each.network_sha256, self._controls, model.controls)
            controls.append(self._controls.get(each, model.controls, unet))
        if not spec.image_prompt:
            return Networks(tuple(controls))
        require_room(spec.image_prompt.adapter_sha256, self._ip_adapters, model.ip_adapters)
        return Networks(tuple(controls), self._ip_adapters.get(spec.image_prompt, model.ip_adapters, unet))

    def clear(self) -> None:
        """Let go of those that no image in the making holds."""
        self._controls.clear()
        self._ip_adapters.clear()
