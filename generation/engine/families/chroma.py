"""Chroma: a transformer made from FLUX.1 schnell, a T5 alone for the words, guidance by a second row.

The padding of a prompt is masked but for its first token. Prompts are always read at their full length and the mask is
always given, so nothing but the picture's size decides who may share a forward.
"""

from __future__ import annotations

from functools import partial

import torch
from diffusers import ChromaTransformer2DModel
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import Conditioning, guide_rows
from generation.engine.families.flow import Flow, PaddedWords, shift_by_size
from generation.engine.families.packing import PATCH, number_cells, pack, unpack
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import T5Text
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_AXES = 3
_MAX_TOKENS = 512


class Chroma(Flow):
    """The `Family` of Chroma."""

    _text: T5Text

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self.scheduler_config = folder.scheduler_config()
        self._transformer = watch_blocks(
            folder.transformer(ChromaTransformer2DModel, device), "transformer_blocks", "single_transformer_blocks"
        )
        self._text = T5Text(folder, device, part="text_encoder", max_tokens=_MAX_TOKENS, sees_padding=False)
        self._vae = folder.vae(device)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"transformer": self._transformer})

    @property
    def latent_channels(self) -> int:
        return int(self._vae.config.latent_channels)

    def tokenize(self, spec: ImageSpec) -> PaddedWords:
        return PaddedWords(self._read(spec), _MAX_TOKENS)

    def condition(self, spec: ImageSpec, words: PaddedWords) -> Conditioning:
        rows = [self._cache.get(each.ids, partial(self._text.encode, each.ids)) for each in words.read]
        masks = [torch.arange(_MAX_TOKENS) <= len(each.ids) for each in words.read]
        return {"encoder_hidden_states": torch.cat(rows), "attention_mask": torch.stack(masks).to(rows[0])}

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        width, height = (side_px // self.pixels_per_latent // PATCH for side_px in size_px)
        return shift_by_size(width * height, self.scheduler_config)

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        return guide_rows(prediction, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        height, width = latents.shape[2:]
        text, mask = conditioning["encoder_hidden_states"], conditioning["attention_mask"]
        tokens = pack(latents)
        predicted: Tensor = self._transformer(
            hidden_states=tokens,
            # Rounded before it is divided, as in the stock pipeline: in bfloat16 that is another number.
            timestep=timesteps.to(latents.dtype) / 1000,
            encoder_hidden_states=text,
            txt_ids=torch.zeros(text.shape[1], _AXES, device=latents.device),
            img_ids=number_cells(height // PATCH, width // PATCH, axes=_AXES, like=latents),
            attention_mask=torch.cat([mask, mask.new_ones(len(mask), tokens.shape[1])], dim=1),
            return_dict=False,
        )[0]
        return unpack(predicted, (height, width))
