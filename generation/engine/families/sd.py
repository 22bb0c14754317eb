"""Stable Diffusion 1.x and 2.x: one CLIP text encoder; epsilon or v-prediction (the scheduler's config says which)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from generation.engine.devices import Device
from generation.engine.families.base import Conditioning
from generation.engine.loading import ModelFolder
from generation.engine.settings import EngineSettings
from generation.engine.text import Tokens, Words, apply_weights, tokenize_pair
from generation.request import ImageSpec


class StableDiffusion:
    """The `Family` of Stable Diffusion 1.x and 2.x."""

    ladder: tuple[int, ...] = (1, 2, 4, 8, 16)

    def __init__(self, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._max_chunks = settings.max_prompt_chunks
        self._tokenizer = folder.tokenizer("tokenizer")
        self._text_encoder = folder.clip_text("text_encoder", device)
        self._unet = folder.unet(device)
        self._vae = folder.vae(device)
        self._cache = PromptCache(settings.num_cached_prompts)
        self.scheduler_config: Mapping[str, Any] = folder.scheduler_config()
        self.latent_channels: int = self._vae.config.latent_channels
        self.pixels_per_latent: int = 2 ** (len(self._vae.config.block_out_channels) - 1)

    @property
    def parts(self) -> Mapping[str, Any]:
        return {"text_encoder": self._text_encoder, "unet": self._unet, "vae": self._vae}

    def tokenize(self, spec: ImageSpec) -> Words:
        length = self._text_encoder.config.max_position_embeddings
        tokens, dropped = tokenize_pair(self._tokenizer, spec, length=length, max_chunks=self._max_chunks)
        return Words((tokens,), dropped)

    def condition(self, spec: ImageSpec, words: Words) -> Conditioning:
        return {"encoder_hidden_states": encode_rows(words.tokens[0], self._encode_chunk)}

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        prediction: Tensor = self._unet(latents, timesteps, return_dict=False, **conditioning)[0]
        return prediction

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        return encode_pixels(self._vae, pixels.to(self._device.torch_device), generator)

    def decode(self, latents: Tensor) -> Tensor:
        return decode_latents(self._vae, latents)

    def _encode_chunk(self, ids: Tensor) -> Tensor:
        embedding: Tensor = self._cache.get(ids, self._run_encoder)
        return embedding

    def _run_encoder(self, ids: Tensor) -> Tensor:
        embedding: Tensor = self._text_encoder(ids[None].to(self._device.torch_device))[0]
        return embedding


def encode_rows(tokens: Tokens, encode_chunk: Callable[[Tensor], Tensor]) -> Tensor:
    """(rows, chunks x length, width) from an encoder of one chunk (length,) to (1, length, width), weights applied."""
    rows = []
    for ids, weights in zip(tokens.ids, tokens.weights, strict=True):
        chunks = (apply_weights(encode_chunk(chunk), weight) for chunk, weight in zip(ids, weights, strict=True))
        rows.append(torch.cat(list(chunks), dim=1))
    return torch.cat(rows)


class PromptCache:
    """The latest text embeddings by token ids: negative prompts hardly ever change."""

    def __init__(self, capacity: int) -> None:
        self._kept: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._capacity = capacity

    def get(self, chunk: Tensor, encode: Any) -> Any:
        """What `encode(chunk)` returned the first time."""
        ids = tuple(chunk.tolist())
        if ids not in self._kept:
            self._kept[ids] = encode(chunk)
        self._kept.move_to_end(ids)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return self._kept.get(ids) if self._capacity else encode(chunk)


def encode_pixels(vae: Any, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """A sample of the VAE's posterior, scaled, drawn as the stock pipelines draw it."""
    posterior = vae.encode(pixels.to(vae.dtype)).latent_dist
    latents: Tensor = posterior.sample(generator) * vae.config.scaling_factor
    return latents.float()


def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """One image's latents (1, C, h, w) to pixels (1, 3, H, W)."""
    pixels: Tensor = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
    return pixels.float()
