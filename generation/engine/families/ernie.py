"""ERNIE-Image: a transformer of one stream, the language half of one Ministral 3, the VAE of FLUX.2.

Text is padded to a multiple of 64 tokens and the padding masked. Where the picture lies beside it depends on the text's
own length, a number of each row, so rows of one padded length share a forward.
"""

from __future__ import annotations

from functools import partial

import torch
from diffusers import AutoencoderKLFlux2, ErnieImageTransformer2DModel
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import Conditioning, guide_rows
from generation.engine.families.flow import Flow
from generation.engine.families.masked_text import MaskedWords, pad_rows
from generation.engine.families.packing import PATCH, fold, unfold
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import PLAIN, LanguageText
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_LAYER = -2
_EPSILON = 1e-5
"""Of the VAE's statistics: what it was trained with, and its settings do not say yet."""


class ErnieImage(Flow):
    """The `Family` of ERNIE-Image."""

    _text: LanguageText

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._text = LanguageText(folder, device, language="ministral3", chat=PLAIN)
        self._transformer = watch_blocks(
            folder.transformer(ErnieImageTransformer2DModel, device), "layers", rows_axis=1
        )
        self._vae = folder.vae(device, AutoencoderKLFlux2)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"transformer": self._transformer})
        self.scheduler_config = folder.scheduler_config()

    @property
    def pixels_per_latent(self) -> int:
        return super().pixels_per_latent * PATCH

    def tokenize(self, spec: ImageSpec) -> MaskedWords:
        return MaskedWords(self._read(spec))

    def condition(self, spec: ImageSpec, words: MaskedWords) -> Conditioning:
        rows = [self._cache.get(each.ids, partial(self._encode, each.ids)) for each in words.read]
        return {"text": pad_rows(rows, words.key), "lengths": torch.tensor([len(row) for row in rows])}

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        """Return a shift that nothing uses: its schedule is the same for all sizes."""
        return 1.0

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        return guide_rows(prediction, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        predicted: Tensor = self._transformer(
            hidden_states=latents,
            timestep=timesteps.to(latents.dtype),
            text_bth=conditioning["text"],
            text_lens=conditioning["lengths"],
            return_dict=False,
        )[0]
        return predicted

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Encode to the middle of the posterior, as FLUX.2 does: ERNIE-Image has no pipeline that encodes."""
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
        return mean, torch.sqrt(norm.running_var.view(1, -1, 1, 1) + _EPSILON).to(like)

    def _encode(self, ids: tuple[int, ...]) -> Tensor:
        """Return (length, width) of the last layer but one."""
        return self._text.hidden_states(ids, length=len(ids))[_LAYER][0]
