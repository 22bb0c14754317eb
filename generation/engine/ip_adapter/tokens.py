"""What an IP-Adapter makes of a picture: tokens beside those of the words. Computed once a picture, by the bytes of its
file, as text is encoded: by one network on one picture, so they depend on no company."""

from __future__ import annotations

import hashlib
from functools import partial

import torch
from torch import Tensor

from generation.engine.clip_pixels import prepare_clip
from generation.engine.control.pictures import REFERENCE
from generation.engine.ip_adapter.networks import IpAdapter
from generation.engine.pixels import read_any_picture
from generation.requests.spec import ImageSpec


def see(adapter: IpAdapter, png: bytes | None, spec: ImageSpec, device: torch.device) -> Tensor:
    """Return the tokens (rows, number, width) of an image's rows. Raise `InvalidRequestError` without a picture.

    The row of the negative prompt gets those of no picture, as the stock pipelines make them: of zeros in the place of
    the picture's summary, or, where all patches are seen, of what the encoder sees in a picture of zeros.
    """
    picture = read_any_picture(png, name=REFERENCE)
    assert png is not None
    key = (hashlib.sha256(png).hexdigest(), spec.is_guided)
    pixels = partial(prepare_clip, picture, adapter.encoder.config.image_size)
    tokens: Tensor = adapter.cache.get(key, lambda: _project(adapter, pixels(), spec.is_guided, device))
    return torch.cat([tokens[:-1], tokens[-1:].expand(len(spec.row_prompts), -1, -1)])


def _project(adapter: IpAdapter, pixels: Tensor, is_guided: bool, device: torch.device) -> Tensor:
    pixels = pixels.to(device=device, dtype=adapter.encoder.dtype)
    seen = _look(adapter, pixels)
    if is_guided:
        nothing = _look(adapter, torch.zeros_like(pixels)) if adapter.is_plus else torch.zeros_like(seen)
        seen = torch.cat([nothing, seen])
    tokens: Tensor = adapter.projection(seen)
    return tokens


def _look(adapter: IpAdapter, pixels: Tensor) -> Tensor:
    """Return the summary of a picture (1, width), or all patches (1, patches, width) as the layer before the last has
    them."""
    if adapter.is_plus:
        patches: Tensor = adapter.encoder(pixels, output_hidden_states=True).hidden_states[-2]
        return patches
    summary: Tensor = adapter.encoder(pixels).image_embeds
    return summary
