"""FLUX.2 klein (4 B, 9 B): a transformer of double and single streams, three layers of one Qwen3, flow matching.

Latents are patches of 2 x 2 cells of the VAE, 16 pixels a side, evened out by the VAE's batch statistics. Prompts are
always read at their full length, so nothing but the sizes of the picture and of what is edited decides who may share a
forward. Pictures to edit are tokens behind the picture's own, each at a time of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKLFlux2, Flux2Transformer2DModel
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import Conditioning, guide_rows, list_references
from generation.engine.families.flow import Flow, PaddedWords
from generation.engine.families.packing import PATCH, fold, lay_tokens, list_tokens, number_cells, number_places, unfold
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import ASKING, MAX_TOKENS, LanguageText
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_LAYERS = (9, 18, 27)
_CHAT = ASKING._replace(behind=f"{ASKING.behind}<think>\n\n</think>\n\n")
"""Qwen3's chat template where the model is not to think."""
_AXES = 4
"""Of a token's place: time, row, column, place in the text."""
_BETWEEN = 10
"""Times between one picture and the next that is edited."""


class Klein(Flow):
    """The `Family` of FLUX.2 klein."""

    _text: LanguageText

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._text = LanguageText(folder, device, chat=_CHAT)
        self._transformer = watch_blocks(
            folder.transformer(Flux2Transformer2DModel, device), "transformer_blocks", "single_transformer_blocks"
        )
        self._vae = folder.vae(device, AutoencoderKLFlux2)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"transformer": self._transformer})
        self.scheduler_config = folder.scheduler_config()

    @property
    def pixels_per_latent(self) -> int:
        return super().pixels_per_latent * PATCH

    def tokenize(self, spec: ImageSpec) -> PaddedWords:
        return PaddedWords(self._read(spec), MAX_TOKENS)

    def condition(self, spec: ImageSpec, words: PaddedWords) -> Conditioning:
        rows = [self._cache.get(each.ids, partial(self._encode, each.ids)) for each in words.read]
        return {"encoder_hidden_states": torch.cat(rows)}

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        """Return the stock pipeline's, which depends on the number of steps too."""
        width, height = (side_px // self.pixels_per_latent for side_px in size_px)
        mu: float = compute_empirical_mu(image_seq_len=width * height, num_steps=spec.steps)
        return mu

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        return guide_rows(prediction, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        rows, _, height, width = latents.shape
        text, pictures = conditioning["encoder_hidden_states"], [latents, *list_references(conditioning)]
        places = [
            number_cells(*each.shape[2:], axes=_AXES, first=_BETWEEN * number, like=latents)
            for number, each in enumerate(pictures)
        ]
        # Rounded before it is divided, as in the stock pipeline: in bfloat16 that is another number.
        timesteps = timesteps.to(latents.dtype) / 1000
        predicted: Tensor = self._transformer(
            hidden_states=torch.cat([list_tokens(each) for each in pictures], dim=1),
            timestep=timesteps,
            guidance=None,
            encoder_hidden_states=text,
            txt_ids=number_places(text.shape[1], axes=_AXES, along=3, like=latents).expand(rows, -1, -1),
            img_ids=torch.cat(places).expand(rows, -1, -1),
            return_dict=False,
        )[0]
        return lay_tokens(predicted[:, : height * width], height, width)

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Encode to the middle of the posterior: the stock pipeline draws nothing here."""
        latents = self._vae.encode(pixels.to(self._device.torch_device, self._vae.dtype)).latent_dist.mode()
        mean, deviation = self._read_statistics(latents)
        return ((fold(latents) - mean) / deviation).float()

    def decode(self, latents: Tensor) -> Tensor:
        latents = latents.to(self._vae.dtype)
        mean, deviation = self._read_statistics(latents)
        pixels: Tensor = self._vae.decode(unfold(latents * deviation + mean), return_dict=False)[0]
        return pixels.float()

    def _read_statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the deviation of each channel, (1, C, 1, 1)."""
        norm = self._vae.bn
        mean = norm.running_mean.view(1, -1, 1, 1).to(like)
        return mean, torch.sqrt(norm.running_var.view(1, -1, 1, 1) + self._vae.config.batch_norm_eps).to(like)

    def _encode(self, ids: tuple[int, ...]) -> Tensor:
        """Return (1, length, layers x width): three layers side by side."""
        states: tuple[Any, ...] = self._text.hidden_states(ids)
        return torch.cat([states[layer] for layer in _LAYERS], dim=-1)
