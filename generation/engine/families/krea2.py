"""Krea 2: a transformer of one stream, many layers of one Qwen3-VL's language half, the VAE of Qwen-Image.

Prompts are always read at one length, and their padding, which lies before the end of the template, is masked. So
nothing but the picture's size decides who may share a forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage, Krea2Transformer2DModel
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import Conditioning, rescale_guidance
from generation.engine.families.film_vae import FilmVae
from generation.engine.families.flow import Flow, shift_by_size
from generation.engine.families.packing import PATCH, number_cells, pack, unpack
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import DESCRIBING, MAX_TOKENS, FramedText, ReadWords
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_LAYERS = (2, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35)
"""Of the text encoder, where the model's index names no others."""
_AXES = 3
_SHIFT_OF_DISTILLED = 1.15


@dataclass(frozen=True, slots=True)
class FramedWords(ReadWords):
    """The tokens of one image's prompts; all are padded to one length."""

    @property
    def key(self) -> int:
        """The length that every row has."""
        return MAX_TOKENS


class Krea2(FilmVae, Flow):
    """The `Family` of Krea 2."""

    _text: FramedText

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._text = FramedText(folder, device, language="qwen3_vl", chat=DESCRIBING)
        self._transformer = watch_blocks(folder.transformer(Krea2Transformer2DModel, device), "transformer_blocks")
        self._vae = folder.vae(device, AutoencoderKLQwenImage)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"transformer": self._transformer})
        self.scheduler_config = folder.scheduler_config()
        index = folder.index()
        self._layers = self._read_layers(index.get("text_encoder_select_layers"))
        self._is_distilled = bool(index.get("is_distilled"))

    @property
    def latent_channels(self) -> int:
        return int(self._vae.config.z_dim)

    def tokenize(self, spec: ImageSpec) -> FramedWords:
        return FramedWords(self._read(spec))

    def condition(self, spec: ImageSpec, words: FramedWords) -> Conditioning:
        rows = [self._cache.get(each.ids, partial(self._encode, each.ids)) for each in words.read]
        masks = [self._text.mask(each.ids)[self._text.unseen :] for each in words.read]
        # Only what is seen is kept for later: a row at its full length would take 30 MB.
        texts = [self._spread(row) for row in rows]
        return {"encoder_hidden_states": torch.stack(texts), "encoder_attention_mask": torch.stack(masks)}

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        if self._is_distilled:
            return _SHIFT_OF_DISTILLED
        width, height = (side_px // self.pixels_per_latent // PATCH for side_px in size_px)
        return shift_by_size(width * height, {"max_image_seq_len": 6400, **self.scheduler_config})

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        """Guide as other families do: Krea 2's own scale, `c + s (c - u)`, is the usual one less 1."""
        if prediction.shape[0] == 1:
            return prediction
        negative, positive = prediction.chunk(2)
        return rescale_guidance(positive + (spec.guidance - 1) * (positive - negative), positive, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        height, width = latents.shape[-2] // PATCH, latents.shape[-1] // PATCH
        mask = conditioning["encoder_attention_mask"]
        # Rows that no image has filled would attend to nothing, and be no numbers.
        mask = mask | ~mask.any(dim=1, keepdim=True)
        text_places = torch.zeros(mask.shape[1], _AXES, device=latents.device)
        predicted: Tensor = self._transformer(
            hidden_states=pack(latents),
            encoder_hidden_states=conditioning["encoder_hidden_states"],
            timestep=(timesteps / 1000).to(latents.dtype),
            position_ids=torch.cat([text_places, number_cells(height, width, axes=_AXES, like=latents)]),
            encoder_attention_mask=mask,
            return_dict=False,
        )[0]
        return unpack(predicted, latents.shape[-2:])

    def _read_layers(self, named: Any) -> tuple[int, ...]:
        """Return the layers of the text encoder that are read. Raise `ValueError` unless they are there."""
        layers = tuple(named or _LAYERS)
        deepest, needed = self._text.encoder.config.num_hidden_layers, self._transformer.config.num_text_layers
        if len(layers) != needed or not all(isinstance(each, int) and 0 <= each <= deepest for each in layers):
            raise ValueError(f"layers {layers} of a text encoder of {deepest} layers, where {needed} are read")
        return layers

    def _encode(self, ids: tuple[int, ...]) -> Tensor:
        """Return (tokens, layers, width) of the tokens that are seen."""
        states = self._text.framed_states(ids)
        layers = torch.stack([states[layer][0] for layer in self._layers], dim=1)
        return torch.cat([layers[self._text.unseen : len(ids)], layers[-self._text.num_end :]])

    def _spread(self, seen: Tensor) -> Tensor:
        """Return text at its full length, with nothing in the place of the padding."""
        end = self._text.num_end
        padding = seen.new_zeros(MAX_TOKENS - len(seen), *seen.shape[1:])
        return torch.cat([seen[:-end], padding, seen[-end:]])
