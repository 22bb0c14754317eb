"""Latents as the tokens that FLUX and its relatives take: patches of 2 x 2 cells, and the place of each. No weights."""

from __future__ import annotations

import torch
from torch import Tensor

PATCH = 2
"""Latent cells a side that make one token."""


def pack(latents: Tensor) -> Tensor:
    """Return (rows, tokens, 4 C) of latents (rows, C, h, w): the numbers of a token by channel, row and column."""
    return list_tokens(fold(latents))


def unpack(tokens: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return what `pack` packed: (rows, C, h, w), where `size` is (h, w)."""
    height, width = size
    return unfold(lay_tokens(tokens, height // PATCH, width // PATCH))


def fold(latents: Tensor) -> Tensor:
    """Return patches of 2 x 2 cells as channels: (rows, C, h, w) to (rows, 4 C, h/2, w/2)."""
    return torch.nn.functional.pixel_unshuffle(latents, PATCH)


def unfold(latents: Tensor) -> Tensor:
    """Return what `fold` folded."""
    return torch.nn.functional.pixel_shuffle(latents, PATCH)


def list_tokens(latents: Tensor) -> Tensor:
    """Return (rows, C, h, w) as tokens (rows, h x w, C), row by row of the picture."""
    return latents.flatten(2).transpose(1, 2).contiguous()


def lay_tokens(tokens: Tensor, height: int, width: int) -> Tensor:
    """Return the picture that `list_tokens` listed."""
    return tokens.transpose(1, 2).reshape(len(tokens), -1, height, width)


def number_places(count: int, *, axes: int, along: int, like: Tensor) -> Tensor:
    """Return positions (count, axes) that count along one axis."""
    places = torch.zeros(count, axes, device=like.device)
    places[:, along] = torch.arange(count, device=like.device)
    return places


def number_cells(height: int, width: int, *, axes: int, like: Tensor, first: int = 0) -> Tensor:
    """Return positions (height x width, axes) of the tokens of a picture: `first`, then its rows and its columns."""
    places = torch.zeros(height * width, axes, device=like.device)
    places[:, 0] = first
    places[:, 1] = torch.arange(height, device=like.device).repeat_interleave(width)
    places[:, 2] = torch.arange(width, device=like.device).repeat(height)
    return places
