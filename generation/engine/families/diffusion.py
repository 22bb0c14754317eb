"""What the families trained by diffusion (Stable Diffusion 1, 2, XL) have in common: samplers, guidance, a UNet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from generation.engine.embeddings import TextualInversions
from generation.engine.families.base import FEATURE, MASK, RESIDUAL, Conditioning, WithVae, guide_rows
from generation.engine.samplers import Sampling
from generation.engine.step_cache import can_cache, find_deep, run_shallow
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec


class Diffusion(WithVae):
    """The part of a `Family` that does not depend on how it reads words. Its subclass sets what is declared here."""

    scheduler_config: Mapping[str, Any]
    _unet: Any
    _learned: TextualInversions

    @property
    def latent_channels(self) -> int:
        return int(self._vae.config.latent_channels)

    @property
    def takes_mask(self) -> bool:
        return bool(self._unet.config.in_channels > self.latent_channels)

    @property
    def denoiser(self) -> Any:
        return self._unet

    @property
    def can_cache(self) -> bool:
        return can_cache(self._unet)

    def offer(self, model: Model) -> None:
        self._adapters.offer(model.loras)
        self._learned.offer(model.embeddings)

    def sampling(
        self,
        spec: ImageSpec,
        size_px: tuple[int, int],
        *,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Sampling:
        return Sampling(spec, self.scheduler_config, strength=strength, generator=generator)

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        return guide_rows(prediction, spec)

    def control(
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
        added = {name: conditioning[name] for name in ("text_embeds", "time_ids") if name in conditioning}
        down, middle = network(
            latents,
            timesteps,
            encoder_hidden_states=conditioning["encoder_hidden_states"],
            conditioning_scale=1.0,
            added_cond_kwargs=added or None,
            return_dict=False,
            **({"controlnet_cond": pictures} if mode is None else _tell_mode(network, pictures, mode)),
        )
        scales = strengths[:, None, None, None]
        return {place: (each * scales).to(each.dtype) for place, each in enumerate((*down, middle))}

    def view(self, network: Any, picture: Tensor) -> Tensor:
        return picture


def predict(unet: Any, latents: Tensor, timesteps: Tensor, conditioning: Conditioning, **added: Any) -> Tensor:
    """Return what a UNet predicts: whole, or its outer layers alone where the step cache says so."""
    sample, states = join_mask(latents, conditioning), conditioning["encoder_hidden_states"]
    guides = take_residuals(conditioning)
    if (deep := find_deep()) is not None:
        return run_shallow(unet, sample, timesteps, states, deep, guides, **added)
    prediction: Tensor = unet(sample, timesteps, encoder_hidden_states=states, return_dict=False, **added, **guides)[0]
    return prediction


def _tell_mode(union: Any, pictures: Tensor, mode: int) -> dict[str, Any]:
    """Return the pictures as a Union takes them, with what they are."""
    told = torch.zeros((len(pictures), union.config.num_control_type), dtype=pictures.dtype, device=pictures.device)
    told[:, mode] = 1
    return {"controlnet_cond": [pictures], "control_type": told, "control_type_idx": [mode]}


def take_residuals(conditioning: Conditioning) -> dict[str, Any]:
    """Return what ControlNets and T2I-Adapters add, as a UNet takes it; nothing where none is at work."""
    residuals, features = _list_parts(conditioning, RESIDUAL), _list_parts(conditioning, FEATURE)
    added: dict[str, Any] = {"down_intrablock_additional_residuals": features} if features else {}
    if residuals:
        *down, middle = residuals
        added |= {"down_block_additional_residuals": tuple(down), "mid_block_additional_residual": middle}
    return added


def _list_parts(conditioning: Conditioning, prefix: str) -> list[Tensor]:
    """Return the parts of that name in their order; a new list, for a UNet takes them off it."""
    count = sum(name.startswith(prefix) for name in conditioning)
    return [conditioning[f"{prefix}{index}"] for index in range(count)]


def join_mask(latents: Tensor, conditioning: Conditioning) -> Tensor:
    """Return what a UNet takes in its channels: latents, and for an inpainting model the mask behind them."""
    mask = conditioning.get(MASK)
    return latents if mask is None else torch.cat([latents, mask], dim=1)
