"""Z-Image and Z-Image-Turbo: a transformer of one stream, one Qwen3 text encoder, flow matching.

The network pads a caption to a multiple of 32 tokens, and masks the padding only where captions of other padded
lengths share the forward. A mask is other bits, so the padded length is part of the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers import ZImageTransformer2DModel
from diffusers.pipelines.z_image.pipeline_z_image import calculate_shift
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.control.zimage import RowStrengths, fill_channels, lending
from generation.engine.devices import Device
from generation.engine.families.base import RESIDUAL, Conditioning, rescale_guidance
from generation.engine.families.flow import Flow
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import LanguageText, ReadWords
from generation.engine.model_folder import ModelFolder
from generation.engine.step_cache import watch_blocks
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec
from generation.workers.engine_settings import EngineSettings

_CAPTION_STEP = 32
_LAYER = -2
_PATCH = 2
"""Latent cells a side that make one token."""


@dataclass(frozen=True, slots=True)
class Captions(ReadWords):
    """The tokens of one image's prompts."""

    @property
    def key(self) -> tuple[int, ...]:
        """The padded lengths that its rows bring into a forward."""
        return tuple(sorted({len(each.ids) + -len(each.ids) % _CAPTION_STEP for each in self.read}))


class ZImage(Flow):
    """The `Family` of Z-Image."""

    _text: LanguageText

    def __init__(self, model: Model, folder: ModelFolder, device: Device, settings: EngineSettings) -> None:
        self._device = device
        self._text = LanguageText(folder, device)
        self._transformer = watch_blocks(folder.transformer(ZImageTransformer2DModel, device), "layers")
        self._vae = folder.vae(device)
        self._cache = PromptCache(settings.num_cached_prompts)
        self._adapters = Adapters(model.loras, {"transformer": self._transformer})
        self.scheduler_config = folder.scheduler_config()

    def tokenize(self, spec: ImageSpec) -> Captions:
        return Captions(self._read(spec))

    def condition(self, spec: ImageSpec, words: Captions) -> Conditioning:
        rows = [self._cache.get(each.ids, partial(self._encode, each.ids)) for each in words.read]
        longest = words.key[-1]
        padded = [torch.cat([row, row.new_zeros(longest - len(row), row.shape[1])]) for row in rows]
        return {"captions": torch.stack(padded), "lengths": torch.tensor([len(row) for row in rows])}

    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        """Return the stock pipeline's; only a scheduler with dynamic shifting uses it."""
        width, height = (side_px // self.pixels_per_latent // _PATCH for side_px in size_px)
        mu: float = calculate_shift(width * height)
        return mu

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        """Guide as other families do: Z-Image's own scale, `c + s (c - u)`, is the usual one less 1.

        The network predicts the other way round.
        """
        if prediction.shape[0] == 1:
            return -prediction
        negative, positive = prediction.chunk(2)
        guided = positive + (spec.guidance - 1) * (positive - negative)
        return -rescale_guidance(guided, positive, spec)

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        inputs = _list_inputs(latents, timesteps, conditioning)
        added = {
            int(name.removeprefix(RESIDUAL)): each for name, each in conditioning.items() if name.startswith(RESIDUAL)
        }
        outputs = self._transformer(*inputs, controlnet_block_samples=added or None, return_dict=False)[0]
        return torch.stack(outputs).squeeze(2)

    def control(  # type: ignore[override]
        self,
        network: Any,
        latents: Tensor,
        timesteps: Tensor,
        conditioning: Conditioning,
        pictures: Tensor,
        *,
        strengths: Tensor,
        mode: int | None = None,
    ) -> Mapping[int, Tensor]:
        inputs = _list_inputs(latents, timesteps, conditioning)
        with lending(network, self._transformer):
            added: Mapping[int, Tensor] = network(
                *inputs, list(pictures.unsqueeze(2).unbind()), conditioning_scale=RowStrengths(strengths)
            )
        return added

    def view(self, network: Any, picture: Tensor) -> Tensor:
        pixels = (2 * picture - 1).to(self._device.torch_device, self._vae.dtype)
        return fill_channels(self._scale(self._vae.encode(pixels).latent_dist.mode()), network)

    def _encode(self, ids: tuple[int, ...]) -> Tensor:
        """Return (length, width) of the last layer but one."""
        return self._text.hidden_states(ids)[_LAYER][0, : len(ids)]


def _list_inputs(
    latents: Tensor, timesteps: Tensor, conditioning: Conditioning
) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """Return rows of latents, timesteps and captions as the networks take them."""
    lengths = conditioning["lengths"].tolist()
    # Rows that no image has filled yet are as long as the longest: another padded length would bring a mask.
    captions = [row[: length or len(row)] for row, length in zip(conditioning["captions"], lengths, strict=True)]
    return list(latents.unsqueeze(2).unbind()), (1000 - timesteps) / 1000, captions
