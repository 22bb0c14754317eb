"""Whether the features of a T2I-Adapter have the shapes of the places in a UNet that they are added at."""

from __future__ import annotations

from typing import Any, NamedTuple

from generation.engine.errors import AddonUnusableError


class Place(NamedTuple):
    """Channels, and how many cells of the latents become one along a side."""

    channels: int
    cells: int


def require_adapter_fit(name: str, adapter: Any, unet: Any) -> None:
    """Raise `AddonUnusableError` unless it has a feature for each block of the UNet, and at most one for its middle.

    Both are settings.
    """
    has, wants = list_features(adapter), list_places(unet)
    if has not in (wants, wants[:-1]):
        shown, wanted = ([f"{each.channels} at 1/{each.cells}" for each in places] for places in (has, wants))
        why = f"it is made for another network: its channels are {', '.join(shown)}, the model's {', '.join(wanted)}."
        raise AddonUnusableError(name=name, why=why)


def list_features(adapter: Any) -> list[Place]:
    """Return what a T2I-Adapter adds: a light one has one more block than channels are named."""
    channels = list(adapter.channels)
    if adapter.adapter_type == "full_adapter_xl":  # only the third block halves the sides
        return [Place(each, 2 if index < 2 else 4) for index, each in enumerate(channels)]
    if adapter.adapter_type == "light_adapter":
        channels.append(channels[-1])
    return [Place(each, 2**index) for index, each in enumerate(channels)]


def list_places(unet: Any) -> list[Place]:
    """Return where a UNet adds features, the middle last: a block without attention adds them once it has halved."""
    channels, last = list(unet.block_out_channels), len(unet.block_out_channels) - 1
    halvings = [
        index + (not kind.startswith("CrossAttn") and index < last) for index, kind in enumerate(unet.down_block_types)
    ]
    places = [Place(each, 2**halved) for each, halved in zip(channels, halvings, strict=True)]
    return [*places, Place(channels[-1], 2**last)]
