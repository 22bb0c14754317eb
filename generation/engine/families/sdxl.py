"""Stable Diffusion XL (base): two text encoders side by side, a pooled embedding, and the picture's size as input.

As the stock pipeline does, an empty negative prompt becomes zeros where the model says so
(`force_zeros_for_empty_prompt`). The VAE always runs in float32: its activations overflow half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.embeddings import TextualInversions
from generation.engine.families.base import Conditioning
from generation.engine.families.diffusion import Diffusion, predict
from generation.engine.families.sd import (
    PromptCache,
    decode_latents,
    encode_pixels,
    encode_rows,
    find_hidden_layer,
    ids_key,
)
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch
from generation.engine.text import TokenizedPrompt, tokenize_pair
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings


class _Encoded(NamedTuple):
    hidden: Tensor
    pooled: Tensor


class StableDiffusionXL(Diffusion):
    """The `Family` of Stable Diffusion XL base models."""

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._max_chunks = settings.max_prompt_chunks
        self._tokenizers = (folder.tokenizer("tokenizer"), folder.tokenizer("tokenizer_2"))
        self._encoders = (
            folder.clip_text("text_encoder", device),
            folder.clip_text("text_encoder_2", device, projected=True),
        )
        self._caches = tuple(PromptCache(settings.num_cached_prompts) for _ in self._encoders)
        self._unet = folder.unet(device)
        self._vae = folder.vae(replace(device, dtype=torch.float32))
        parts = {"unet": self._unet, "text_encoder": self._encoders[0], "text_encoder_2": self._encoders[1]}
        self._adapters = Adapters(model.loras, parts)
        self._learned = TextualInversions(model.embeddings, self._encoders)
        self._zeros_when_empty = bool(folder.index().get("force_zeros_for_empty_prompt", True))
        self.scheduler_config = folder.scheduler_config()
        watch(self._unet)

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        first, second = self._encoders
        return {"text_encoder": first, "text_encoder_2": second}

    def tokenize(self, spec: ImageSpec) -> TokenizedPrompt:
        length = self._encoders[0].config.max_position_embeddings
        pairs = [
            tokenize_pair(tokenizer, spec, length=length, max_chunks=self._max_chunks, ids_of=self._learned.ids)
            for tokenizer in self._tokenizers
        ]
        return TokenizedPrompt(tuple(tokens for tokens, _ in pairs), pairs[0][1])

    def condition(self, spec: ImageSpec, words: TokenizedPrompt) -> Conditioning:
        self.use(spec.adapters)
        hidden = torch.cat(
            [encode_rows(words.tokens[which], self._select_hidden(which, spec)) for which in (0, 1)], dim=-1
        )
        first_chunks = words.tokens[1].ids[:, 0]
        pooled = torch.cat([self._encode(1, ids, spec).pooled for ids in first_chunks])
        if spec.is_guided and not spec.negative and self._zeros_when_empty:
            hidden[0], pooled[0] = 0, 0
        size = [spec.height_px, spec.width_px]
        time_ids = torch.tensor([[*size, 0, 0, *size]], dtype=hidden.dtype, device=hidden.device)
        return {
            "encoder_hidden_states": hidden,
            "text_embeds": pooled,
            "time_ids": time_ids.repeat(spec.num_rows, 1),
        }

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        added = {name: conditioning[name] for name in ("text_embeds", "time_ids")}
        return predict(self._unet, latents, timesteps, conditioning, added_cond_kwargs=added)

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        return encode_pixels(self._vae, pixels.to(self._device.torch_device), generator)

    def decode(self, latents: Tensor) -> Tensor:
        return decode_latents(self._vae, latents)

    def _select_hidden(self, which: int, spec: ImageSpec) -> Callable[[Tensor], Tensor]:
        return lambda ids: self._encode(which, ids, spec).hidden

    def _encode(self, which: int, ids: Tensor, spec: ImageSpec) -> _Encoded:
        layer = find_hidden_layer(spec, self._encoders[which], last=-2)
        key = (ids_key(ids), spec.adapters, layer)
        encoded: _Encoded = self._caches[which].get(key, lambda: self._run_encoder(which, ids, layer))
        return encoded

    def _run_encoder(self, which: int, ids: Tensor, layer: int) -> _Encoded:
        """Return a late layer, (1, length, width), and the encoder's own summary, (1, width)."""
        there = ids.to(self._device.torch_device)
        output = self._learned.encode(which, self._encoders[which], there, output_hidden_states=True)
        return _Encoded(output.hidden_states[layer], output[0])
