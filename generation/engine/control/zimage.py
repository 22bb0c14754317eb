"""What the ControlNets of Z-Image need beside their own layers: parts of the transformer, latents of the picture, and
strengths by row inside the network."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ZImageControlNetModel
from torch import Tensor

_LENT = (
    "t_embedder",
    "all_x_embedder",
    "cap_embedder",
    "rope_embedder",
    "noise_refiner",
    "context_refiner",
    "x_pad_token",
    "cap_pad_token",
)


@contextmanager
def lending(network: Any, transformer: Any) -> Iterator[None]:
    """Let a ControlNet have the transformer's parts that it lacks, for one forward: it serves several models, and would
    keep them in memory."""
    ZImageControlNetModel.from_transformer(network, transformer)
    try:
        yield
    finally:
        for name in _LENT:
            setattr(network, name, None)


def fill_channels(latents: Tensor, network: Any) -> Tensor:
    """Return the latents of a picture (1, C, h, w) with zeros for what else a ControlNet sees: a mask and a picture."""
    missing = network.config.control_in_dim - latents.shape[1]
    return torch.cat([latents, latents.new_zeros(1, missing, *latents.shape[2:])], dim=1)


class RowStrengths:
    """A number a row in the place of the strength. What is added is rounded once, as by a number for all rows."""

    def __init__(self, strengths: Tensor) -> None:
        self._strengths = strengths

    def __rmul__(self, added: Tensor) -> Tensor:
        scales = self._strengths.view(-1, *(1,) * (added.dim() - 1))
        return (added * scales).to(added.dtype)


def find_misfit(network: Any, transformer: Any) -> str:
    """Return in what a ControlNet is for another transformer; empty where it fits."""
    own, its = network.config, transformer.config
    for name in ("dim", "n_heads", "n_kv_heads"):
        if own[name] != its[name]:
            return f"its {name} is {own[name]}, the model's is {its[name]}"
    for name, limit in (("control_layers_places", "n_layers"), ("control_refiner_layers_places", "n_refiner_layers")):
        if max(own[name] or (0,)) >= its[limit]:
            return f"it is for layer {max(own[name])}, and the model's {limit} is {its[limit]}"
    if own.control_in_dim < its.in_channels:
        return f"it sees {own.control_in_dim} channels, and the model's latents have {its.in_channels}"
    return ""
