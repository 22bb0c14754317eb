"""Stable Diffusion 3.5 (and 3): two CLIP and a T5 side by side, a transformer of two streams, flow matching.

Prompts are always read at their full length, so nothing but the picture's size decides who may share a forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from diffusers import SD3Transformer2DModel
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import Conditioning, guide_rows
from generation.engine.families.flow import ClipWords, Flow, shift_by_size
from generation.engine.families.packing import PATCH
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import T5Text, read_clip
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.prompt_addons import Adapter
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_MAX_TOKENS = 256
_LAYER = -2
_CLIP = ("text_encoder", "text_encoder_2")


class _Clip(NamedTuple):
    hidden: Tensor
    pooled: Tensor


class StableDiffusion3(Flow):
    """The `Family` of Stable Diffusion 3.5."""

    _text: T5Text
    plans_sigmas = False

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self.scheduler_config = folder.scheduler_config()
        self._transformer = watch_blocks(folder.transformer(SD3Transformer2DModel, device), "transformer_blocks")
        self._tokenizers = tuple(folder.tokenizer(part.replace("text_encoder", "tokenizer")) for part in _CLIP)
        self._clips = tuple(folder.clip_text(part, device, projected=True) for part in _CLIP)
        self._text = T5Text(folder, device, part="text_encoder_3", max_tokens=_MAX_TOKENS)
        self._vae = folder.vae(device)
        self._cache, *self._caches = (PromptCache(settings.num_cached_prompts) for _ in range(3))
        self._adapters = Adapters(
            model.loras, {"transformer": self._transformer, **dict(zip(_CLIP, self._clips, strict=True))}
        )

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        return {**dict(zip(_CLIP, self._clips, strict=True)), "text_encoder_3": self._text.encoder}

    def tokenize(self, spec: ImageSpec) -> ClipWords:
        prompts = self._list_prompts(spec)
        pairs = zip(self._tokenizers, self._clips, strict=True)
        clip = tuple(tuple(read_clip(*pair, prompt) for prompt in prompts) for pair in pairs)
        return ClipWords(self._read(spec), _MAX_TOKENS, clip)

    def condition(self, spec: ImageSpec, words: ClipWords) -> Conditioning:
        self.use(spec.adapters)
        texts = torch.cat([self._cache.get(each.ids, partial(self._text.encode, each.ids)) for each in words.read])
        found = [[self._run_clip(which, ids, spec.adapters) for ids in rows] for which, rows in enumerate(words.clip)]
        hidden = torch.cat([torch.cat([each.hidden for each in rows]) for rows in found], dim=-1)
        hidden = torch.nn.functional.pad(hidden, (0, texts.shape[-1] - hidden.shape[-1]))
        return {
            "encoder_hidden_states": torch.cat([hidden, texts], dim=1),
            "pooled_projections": torch.cat([torch.cat([each.pooled for each in rows]) for rows in found], dim=-1),
        }

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        """Return the stock pipeline's; only a scheduler with dynamic shifting uses it."""
        width, height = (side_px // self.pixels_per_latent // PATCH for side_px in size_px)
        return shift_by_size(width * height, {"max_shift": 1.16, **self.scheduler_config})

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        return guide_rows(prediction, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        predicted: Tensor = self._transformer(
            hidden_states=latents, timestep=timesteps, return_dict=False, **conditioning
        )[0]
        return predicted

    def _run_clip(self, which: int, ids: tuple[int, ...], adapters: tuple[Adapter, ...]) -> _Clip:
        """Return what a CLIP with those LoRA, which are in use, makes of a prompt."""
        found: _Clip = self._caches[which].get((ids, adapters), partial(self._encode_clip, which, ids))
        return found

    def _encode_clip(self, which: int, ids: tuple[int, ...]) -> _Clip:
        """Return the layer before the last (1, length, width), and the projected sum (1, width)."""
        there = torch.tensor([ids], device=self._device.torch_device)
        output: Any = self._clips[which](there, output_hidden_states=True)
        return _Clip(output.hidden_states[_LAYER], output.text_embeds)
