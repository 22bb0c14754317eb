"""Stable Diffusion 1.x and 2.x: one CLIP text encoder; epsilon or v-prediction (the scheduler's config says which)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import torch
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.embeddings import TextualInversions
from generation.engine.families.base import Conditioning
from generation.engine.families.diffusion import Diffusion, predict
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch
from generation.engine.text import TokenizedPrompt, Tokens, apply_weights, tokenize_pair
from generation.models.catalog import Model
from generation.requests.errors import ClipSkipError
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings


class StableDiffusion(Diffusion):
    """The `Family` of Stable Diffusion 1.x and 2.x."""

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._max_chunks = settings.max_prompt_chunks
        self._tokenizer = folder.tokenizer("tokenizer")
        self._text_encoder = folder.clip_text("text_encoder", device)
        self._unet = folder.unet(device)
        self._vae = folder.vae(device)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"unet": self._unet, "text_encoder": self._text_encoder})
        self._learned = TextualInversions(model.embeddings, (self._text_encoder,))
        self.scheduler_config = folder.scheduler_config()
        watch(self._unet)

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        return {"text_encoder": self._text_encoder}

    def tokenize(self, spec: ImageSpec) -> TokenizedPrompt:
        length = self._text_encoder.config.max_position_embeddings
        tokens, dropped = tokenize_pair(
            self._tokenizer, spec, length=length, max_chunks=self._max_chunks, ids_of=self._learned.ids
        )
        return TokenizedPrompt((tokens,), dropped)

    def condition(self, spec: ImageSpec, words: TokenizedPrompt) -> Conditioning:
        self.use(spec.adapters)
        layer = find_hidden_layer(spec, self._text_encoder)
        return {
            "encoder_hidden_states": encode_rows(
                words.tokens[0],
                lambda ids: self._cache.get(
                    (ids_key(ids), spec.adapters, layer), lambda: self._run_encoder(ids, layer)
                ),
            )
        }

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        return predict(self._unet, latents, timesteps, conditioning)

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        return encode_pixels(self._vae, pixels.to(self._device.torch_device), generator)

    def decode(self, latents: Tensor) -> Tensor:
        return decode_latents(self._vae, latents)

    def _run_encoder(self, ids: Tensor, layer: int) -> Tensor:
        """Return (1, length, width). A layer before the last passes the final norm too, as in the stock pipeline."""
        encoder, there = self._text_encoder, ids.to(self._device.torch_device)
        if layer == -1:
            embedding: Tensor = self._learned.encode(0, encoder, there)[0]
            return embedding
        hidden = self._learned.encode(0, encoder, there, output_hidden_states=True).hidden_states[layer]
        normed: Tensor = getattr(encoder, "text_model", encoder).final_layer_norm(hidden)
        return normed


def find_hidden_layer(spec: ImageSpec, encoder: Any, *, last: int = -1) -> int:
    """Return the text encoder layer that a spec uses, counted from the end. Raise `ClipSkipError` if there is
    none."""
    layer = last - (spec.clip_skip - 1)
    if -layer > encoder.config.num_hidden_layers:
        raise ClipSkipError(most=encoder.config.num_hidden_layers + 1 + last)
    return layer


def ids_key(ids: Tensor) -> tuple[int, ...]:
    """Return token ids as part of a cache key."""
    return tuple(ids.tolist())


def encode_rows(tokens: Tokens, encode_chunk: Callable[[Tensor], Tensor]) -> Tensor:
    """Return (rows, chunks x length, width), weighted, from an encoder of one chunk (length,) to (1, length, width)."""
    rows = []
    for ids, weights in zip(tokens.ids, tokens.weights, strict=True):
        chunks = (apply_weights(encode_chunk(chunk), weight) for chunk, weight in zip(ids, weights, strict=True))
        rows.append(torch.cat(list(chunks), dim=1))
    return torch.cat(rows)


class PromptCache:
    """The latest text embeddings by what they were made of: negative prompts hardly ever change."""

    def __init__(self, capacity: int) -> None:
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._capacity = capacity

    def get(self, key: Hashable, encode: Callable[[], Any]) -> Any:
        """Return what `encode()` returned the first time for this key.

        The key holds the token ids and all that shapes their embedding.
        """
        if not self._capacity:
            return encode()
        if key not in self._kept:
            self._kept[key] = encode()
        self._kept.move_to_end(key)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return self._kept[key]


def encode_pixels(vae: Any, pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Return a scaled sample of the VAE's posterior, drawn as the stock pipelines draw it."""
    posterior = vae.encode(pixels.to(vae.dtype)).latent_dist
    latents: Tensor = posterior.sample(generator) * vae.config.scaling_factor
    return latents.float()


def decode_latents(vae: Any, latents: Tensor) -> Tensor:
    """Decode one image's latents (1, C, h, w) to pixels (1, 3, H, W)."""
    pixels: Tensor = vae.decode((latents / vae.config.scaling_factor).to(vae.dtype), return_dict=False)[0]
    return pixels.float()
