"""What the T2I-Adapters of an image add inside the UNet: features of its pictures, the same in every step.

They are computed once a pass, by one network on one picture, as text is encoded; so they depend on no company, and no
trace names them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from generation.engine.control.networks import ControlNetwork
from generation.engine.control.pictures import prepare_control_pictures
from generation.engine.families.base import Family
from generation.engine.ip_adapter.networks import IpAdapter
from generation.engine.ip_adapter.tokens import see
from generation.jobs.protocol import GenerateCommand
from generation.requests.control import ADAPTER

_GREY = (19595, 38470, 7471)
"""Of 65,536, as Pillow weighs red, green and blue."""


class Networks(NamedTuple):
    """What works beside the model for an image: its ControlNets, in the order of the spec, and its IP-Adapter."""

    controls: tuple[ControlNetwork, ...] = ()
    ip_adapter: IpAdapter | None = None


class Guides(NamedTuple):
    """What the ControlNets of an image see, and what its T2I-Adapters add, each by its place in the spec."""

    pictures: tuple[Tensor, ...] = ()
    """(1, 3, H, W) in 0..1, or what a family's ControlNets see in its place."""
    features: tuple[tuple[Tensor, ...], ...] = ()
    """(1, C, h, w) for each block of the UNet, at its strength; nothing for what is no T2I-Adapter."""
    image_embeds: Tensor | None = None
    """(rows, number, width): what its IP-Adapter makes of its reference."""


NO_NETWORKS, NO_GUIDES = Networks(), Guides()


def prepare_guides(
    family: Family,
    order: GenerateCommand,
    networks: Networks,
    size_px: tuple[int, int],
    device: torch.device,
) -> Guides:
    """Return the guides of an image for a pass of that size."""
    pictures = prepare_control_pictures(order, size_px)
    given = list(zip(networks.controls, pictures, order.spec.controls, strict=True))
    adapter, prompt = networks.ip_adapter, order.spec.image_prompt
    return Guides(
        tuple(each if network.kind == ADAPTER else family.view(network.network, each) for network, each, _ in given),
        tuple(_extract(network, picture, each.strength, device) for network, picture, each in given),
        see(adapter, order.image_prompt_png, order.spec, device)
        if adapter is not None and prompt and prompt.strength
        else None,
    )


def _extract(network: ControlNetwork, picture: Tensor, strength: float, device: torch.device) -> tuple[Tensor, ...]:
    if network.kind != ADAPTER or not strength:
        return ()
    adapter = network.network
    seen = _fit(_as_grey(picture) if adapter.config.in_channels == 1 else picture, adapter.config.downscale_factor)
    return tuple(feature * strength for feature in adapter(seen.to(device=device, dtype=adapter.dtype)))


def _as_grey(picture: Tensor) -> Tensor:
    """Return (1, 1, H, W), as Pillow turns a picture to grey."""
    values = (picture * 255).round().long()
    weights = torch.tensor(_GREY)[None, :, None, None]
    return (((values * weights).sum(1, keepdim=True) + 32768) // 65536).float() / 255


def _fit(picture: Tensor, step: int) -> Tensor:
    """Return it with its edges repeated up to a multiple of `step` pixels, as many cells as the UNet's blocks have."""
    height, width = picture.shape[-2:]
    return pad(picture, (0, -width % step, 0, -height % step), mode="replicate")
