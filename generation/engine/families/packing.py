"""Latents as rows of tokens: each is a patch of 2 x 2 cells, its numbers by channel, row and column."""

from __future__ import annotations

from torch import Tensor

PATCH = 2
"""Latent cells a side that make one token."""


def pack(latents: Tensor) -> Tensor:
    """Return (rows, tokens, 4 C) of latents (rows, C, h, w)."""
    rows, channels, height, width = latents.shape
    cells = latents.reshape(rows, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return cells.permute(0, 2, 4, 1, 3, 5).reshape(rows, height * width // PATCH**2, channels * PATCH**2)


def unpack(tokens: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return what `pack` packed: (rows, C, h, w), where `size` is (h, w)."""
    height, width = size
    rows, _, numbers = tokens.shape
    cells = tokens.reshape(rows, height // PATCH, width // PATCH, numbers // PATCH**2, PATCH, PATCH)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(rows, numbers // PATCH**2, height, width)
