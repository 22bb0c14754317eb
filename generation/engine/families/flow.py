"""What the families trained by flow matching have in common: a transformer, a language model, a VAE, their samplers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift

from generation.engine.devices import Device
from generation.engine.families.base import REFERENCE, Conditioning, WithVae
from generation.engine.families.sd import PromptCache
from generation.engine.language_text import Read, Reader, ReadWords, read_rows
from generation.engine.packed_convolutions import is_packed
from generation.engine.references import Seen
from generation.engine.samplers import FlowSampling
from generation.models.catalog import Model
from generation.requests.spec import ImageSpec


@dataclass(frozen=True, slots=True)
class PaddedWords(ReadWords):
    """The same, all padded to one length."""

    length: int

    @property
    def key(self) -> int:
        """The length that every row has."""
        return self.length


@dataclass(frozen=True, slots=True)
class ClipWords(PaddedWords):
    """The same, with those for each CLIP beside."""

    clip: tuple[tuple[tuple[int, ...], ...], ...]


class Flow(WithVae, ABC):
    """The part of a `Family` that all of them share. Its subclass sets what is declared here."""

    takes_mask = False
    plans_sigmas = True
    """Whether its pipeline plans the noise of each step; else the scheduler does."""
    scheduler_config: Mapping[str, Any]
    _device: Device
    _text: Reader
    _transformer: Any
    _cache: PromptCache

    @property
    def latent_channels(self) -> int:
        return int(self._transformer.config.in_channels)

    @property
    def can_cache(self) -> bool:
        return True

    @property
    def denoiser(self) -> Any:
        return self._transformer

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        return {"text_encoder": self._text.encoder}

    def offer(self, model: Model) -> None:
        """Know its LoRA. No textual inversion works with a language model."""
        self._adapters.offer(model.loras)

    def control(
        self, network: Any, *inputs: Any, strengths: torch.Tensor, mode: int | None = None
    ) -> Mapping[int, torch.Tensor]:
        raise NotImplementedError("ControlNets are refused at admission")

    def view(self, network: Any, picture: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("ControlNets are refused at admission")

    def sampling(
        self,
        spec: ImageSpec,
        size_px: tuple[int, int],
        *,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> FlowSampling:
        mu = self.compute_mu(spec, size_px)
        options: dict[str, Any] = {"mu": mu, "strength": strength, "generator": generator}
        return FlowSampling(spec, self.scheduler_config, plans_sigmas=self.plans_sigmas, **options)

    def edit(self, spec: ImageSpec, words: Any, seen: Sequence[Seen]) -> Conditioning:
        """Condition on the words, and on the latents of each picture."""
        return {**self.condition(spec, words), **self._show(spec, seen)}

    def _show(self, spec: ImageSpec, seen: Sequence[Seen]) -> Conditioning:
        """Return the latents of each picture: all rows of an image see the same."""
        looks = [self._cache.get((each.reference, is_packed()), partial(self._look, each)) for each in seen]
        return {f"{REFERENCE}{place}": look.expand(spec.num_rows, -1, -1, -1) for place, look in enumerate(looks)}

    def _look(self, seen: Seen) -> torch.Tensor:
        """Return what the network sees of a picture, (1, C, h, w)."""
        return self.encode(seen.read(), torch.Generator())

    @abstractmethod
    def condition(self, spec: ImageSpec, words: Any) -> Conditioning: ...

    def encode(self, pixels: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        pixels = pixels.to(self._device.torch_device, self._vae.dtype)
        return self._scale(self._vae.encode(pixels).latent_dist.sample(generator)).float()

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        latents = latents.to(self._vae.dtype) / self._vae.config.scaling_factor + self._vae.config.shift_factor
        pixels: torch.Tensor = self._vae.decode(latents, return_dict=False)[0]
        return pixels.float()

    def _scale(self, sample: torch.Tensor) -> torch.Tensor:
        scaled: torch.Tensor = (sample - self._vae.config.shift_factor) * self._vae.config.scaling_factor
        return scaled

    @abstractmethod
    def compute_mu(self, spec: ImageSpec, size_px: tuple[int, int]) -> float:
        """Return the shift of the schedule for a picture of that size."""

    def _read(self, spec: ImageSpec) -> tuple[Read, ...]:
        """Return the tokens of `[negative,] positive...`."""
        return read_rows(self._text.read, spec)

    @staticmethod
    def _list_prompts(spec: ImageSpec) -> tuple[str, ...]:
        return (spec.negative, *spec.row_prompts) if spec.is_guided else spec.row_prompts


def shift_by_size(num_tokens: int, scheduler: Mapping[str, Any]) -> float:
    """Return the shift of a schedule for a picture of so many tokens, by what its settings say."""
    usual = {"base_image_seq_len": 256, "max_image_seq_len": 4096, "base_shift": 0.5, "max_shift": 1.15}
    mu: float = calculate_shift(num_tokens, *(scheduler.get(name, value) for name, value in usual.items()))
    return mu
