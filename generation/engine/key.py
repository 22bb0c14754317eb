"""What images must have in common to share a forward."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from generation.requests.prompt_addons import Adapter


class Key(NamedTuple):
    """What images must have in common to share a forward."""

    model: str
    latent_shape: tuple[int, int, int]
    text: Hashable
    """Of its words: see `Words.key`."""
    adapters: tuple[Adapter, ...] = ()
    serial: int = 0
    """Of the loaded model: one that replaced another of its name while that was at work shares no forward with it."""
    references: tuple[tuple[int, int], ...] = ()
    """The sizes of the pictures it sees, in their order. Networks number the places of a forward by its first row: of
    another number, order or size they would be numbered wrongly, and no error would say so."""
    is_accelerated: bool = False
    """Whether it runs by what takes the place of `Family.denoise` (`Family.accelerated`)."""
    is_packed: bool = False
    """Whether convolutions have packed weights. The layout of what they give is another, and that of buffers for it."""
    is_shallow: bool = False
    """Whether it runs the outer layers alone (`step_cache`)."""
