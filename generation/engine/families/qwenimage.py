"""Qwen-Image: a transformer of two streams, the language half of one Qwen2.5-VL, a VAE of films, flow matching.

The network sees as much text as is there, so the length of a row is padded to a multiple of 64 and the padding masked.
Rows of one padded length share a forward, and a mask is always given: without one the bits are others.
"""

from __future__ import annotations

from functools import partial

import torch
from diffusers import AutoencoderKLQwenImage, QwenImageTransformer2DModel
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.devices import Device
from generation.engine.families.base import Conditioning, list_references, rescale_guidance
from generation.engine.families.film_vae import FilmVae
from generation.engine.families.flow import Flow, shift_by_size
from generation.engine.families.masked_text import MaskedWords, pad_masked
from generation.engine.families.packing import PATCH, pack, unpack
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import DESCRIBING, LanguageText
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings


class QwenImage(FilmVae, Flow):
    """The `Family` of Qwen-Image."""

    _text: LanguageText

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._text = self._read_with(folder, device)
        self._transformer = watch_blocks(folder.transformer(QwenImageTransformer2DModel, device), "transformer_blocks")
        self._vae = folder.vae(device, AutoencoderKLQwenImage)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"transformer": self._transformer})
        self.scheduler_config = folder.scheduler_config()

    @property
    def latent_channels(self) -> int:
        return int(self._vae.config.z_dim)

    def tokenize(self, spec: ImageSpec) -> MaskedWords:
        return MaskedWords(self._read(spec), self._text.unseen)

    def condition(self, spec: ImageSpec, words: MaskedWords) -> Conditioning:
        rows = [self._cache.get(each.ids, partial(self._encode, each.ids)) for each in words.read]
        return pad_masked(rows, words.key)

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        width, height = (side_px // self.pixels_per_latent // PATCH for side_px in size_px)
        return shift_by_size(width * height, self.scheduler_config)

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        """Guide, and give each token the length that it has with the prompt alone."""
        if prediction.shape[0] == 1:
            return prediction
        negative, positive = pack(prediction).chunk(2)
        guided = negative + spec.guidance * (positive - negative)
        guided = guided * (torch.norm(positive, dim=-1, keepdim=True) / torch.norm(guided, dim=-1, keepdim=True))
        size = prediction.shape[-2:]
        return rescale_guidance(unpack(guided, size), unpack(positive, size), spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        pictures = [latents, *list_references(conditioning)]
        tokens = [pack(each) for each in pictures]
        shapes = [(1, each.shape[-2] // PATCH, each.shape[-1] // PATCH) for each in pictures]
        predicted: Tensor = self._transformer(
            hidden_states=torch.cat(tokens, dim=1),
            # Rounded before it is divided, as in the stock pipeline: in bfloat16 that is another number.
            timestep=timesteps.to(latents.dtype) / 1000,
            encoder_hidden_states=conditioning["encoder_hidden_states"],
            encoder_hidden_states_mask=conditioning["encoder_hidden_states_mask"],
            img_shapes=[shapes] * len(latents),
            return_dict=False,
        )[0]
        return unpack(predicted[:, : tokens[0].shape[1]], latents.shape[-2:])

    @staticmethod
    def _read_with(folder: ModelFolder, device: Device) -> LanguageText:
        """Return what reads its prompts."""
        return LanguageText(folder, device, language="qwen2_5_vl", chat=DESCRIBING)

    def _encode(self, ids: tuple[int, ...]) -> Tensor:
        """Return (length, width) of the last layer, without what describes the task."""
        return self._text.hidden_states(ids, length=len(ids))[-1][0, self._text.unseen :]
