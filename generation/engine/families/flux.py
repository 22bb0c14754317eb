"""FLUX.1 (dev, schnell): a transformer of double and single streams, T5 for the words, CLIP for their sum.

Dev reads guidance as a number, one for each row. A negative prompt takes a second row there (true CFG). Prompts are
always read at their full length, so nothing but the picture's size decides who may share a forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import REFERENCE, Conditioning, guide_rows, list_references
from generation.engine.families.flow import ClipWords, Flow, shift_by_size
from generation.engine.families.packing import PATCH, number_cells, pack, unpack
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import T5Text, read_clip
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_AXES = 3
"""Of a token's place: whether it is of a picture to edit, row, column. Those of words are all nought."""
_MAX_TOKENS, _MAX_TOKENS_OF_SCHNELL = 512, 256


class Flux(Flow):
    """The `Family` of FLUX.1."""

    _text: T5Text

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self.scheduler_config = folder.scheduler_config()
        self._transformer = watch_blocks(
            folder.transformer(FluxTransformer2DModel, device), "transformer_blocks", "single_transformer_blocks"
        )
        self._tokenizer = folder.tokenizer("tokenizer")
        self._clip = folder.clip_text("text_encoder", device)
        self._text = T5Text(folder, device, part="text_encoder_2", max_tokens=self._find_max_tokens())
        self._vae = folder.vae(device)
        self._cache, self._sums = (PromptCache(settings.num_cached_prompts) for _ in range(2))
        self._adapters = Adapters(model.loras, {"transformer": self._transformer, "text_encoder": self._clip})

    @property
    def latent_channels(self) -> int:
        return int(self._vae.config.latent_channels)

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        return {"text_encoder": self._clip, "text_encoder_2": self._text.encoder}

    def tokenize(self, spec: ImageSpec) -> ClipWords:
        clip = tuple(read_clip(self._tokenizer, self._clip, prompt) for prompt in self._list_prompts(spec))
        return ClipWords(self._read(spec), self._text.max_tokens, (clip,))

    def condition(self, spec: ImageSpec, words: ClipWords) -> Conditioning:
        self.use(spec.adapters)
        texts = [self._cache.get(each.ids, partial(self._text.encode, each.ids)) for each in words.read]
        sums = [self._sums.get((ids, spec.adapters), partial(self._sum_up, ids)) for ids in words.clip[0]]
        rows = {"encoder_hidden_states": torch.cat(texts), "pooled_projections": torch.cat(sums)}
        if not self._embeds_guidance:
            return rows
        return {**rows, "guidance": torch.full((len(texts),), spec.guidance)}

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        """Return the stock pipeline's; a schedule without dynamic shifting, as schnell's, ignores it."""
        width, height = (side_px // self.pixels_per_latent // PATCH for side_px in size_px)
        return shift_by_size(width * height, self.scheduler_config)

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        return guide_rows(prediction, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        size, text = latents.shape[2:], conditioning["encoder_hidden_states"]
        pictures = [latents, *list_references(conditioning)]
        places = [
            number_cells(*(side // PATCH for side in each.shape[2:]), axes=_AXES, first=min(number, 1), like=latents)
            for number, each in enumerate(pictures)
        ]
        inputs = {name: rows for name, rows in conditioning.items() if not name.startswith(REFERENCE)}
        predicted: Tensor = self._transformer(
            hidden_states=torch.cat([pack(each) for each in pictures], dim=1),
            # Rounded before it is divided, as in the stock pipeline: in bfloat16 that is another number.
            timestep=timesteps.to(latents.dtype) / 1000,
            txt_ids=torch.zeros(text.shape[1], _AXES, device=latents.device),
            img_ids=torch.cat(places),
            return_dict=False,
            **{"guidance": None, **inputs},
        )[0]
        return unpack(predicted[:, : len(places[0])], size)

    @property
    def _embeds_guidance(self) -> bool:
        return bool(self._transformer.config.guidance_embeds)

    def _find_max_tokens(self) -> int:
        """Return how many tokens are read of a prompt: schnell, told by its fixed schedule, was trained with fewer."""
        return _MAX_TOKENS if self.scheduler_config.get("use_dynamic_shifting") else _MAX_TOKENS_OF_SCHNELL

    def _sum_up(self, ids: tuple[int, ...]) -> Tensor:
        """Return CLIP's sum of a prompt, (1, width)."""
        there = torch.tensor([ids], device=self._device.torch_device)
        pooled: Tensor = self._clip(there).pooler_output
        return pooled
