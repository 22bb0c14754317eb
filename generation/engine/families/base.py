"""The interface of a model family. One file in this package implements it for each family.

A family knows how to turn words into conditioning, rows of latents into predictions, and latents into pixels and
back; which sampler walks an image, and how its rows are guided. It knows nothing of batching, people or time.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from generation.engine.adapters import Adapters
from generation.engine.references import Seen
from generation.engine.samplers import Sampling
from generation.models.catalog import Model
from generation.requests.prompt_addons import Adapter
from generation.requests.recipe import LADDER
from generation.requests.spec import ImageSpec

Conditioning = Mapping[str, Tensor]
"""Named model inputs beside latents and timesteps; the first dimension of each counts rows. Whole numbers keep their
format, others get the device's."""
MASK = "mask"
"""The input that the engine adds for a family that takes one: (rows, 1 + C, h, w), a mask and the latents it keeps."""
RESIDUAL = "residual "
"""What ControlNets add to a forward, by place: `residual 0` and so on; in a UNet, the last for its middle."""
FEATURE = "feature "
"""What T2I-Adapters add to a forward: `feature 0` and so on, one for each block of the UNet."""

REFERENCE = "reference "
"""What the network sees of the pictures to edit, by place: `reference 0` and so on, (rows, C, h, w)."""


def guide_rows(prediction: Tensor, spec: ImageSpec) -> Tensor:
    """Return `u + g (c - u)` of `[negative,] positive` rows, rescaled where the spec says so."""
    if prediction.shape[0] == 1:
        return prediction
    negative, positive = prediction.chunk(2)
    return rescale_guidance(negative + spec.cfg_scale * (positive - negative), positive, spec)


def rescale_guidance(guided: Tensor, positive: Tensor, spec: ImageSpec) -> Tensor:
    """Return a guided prediction nearer to the spread of the positive one (arXiv 2305.08891, section 3.4)."""
    if not spec.rescale:
        return guided
    axes = tuple(range(1, guided.ndim))
    rescaled = guided * (positive.std(dim=axes, keepdim=True) / guided.std(dim=axes, keepdim=True))
    return spec.rescale * rescaled + (1 - spec.rescale) * guided


class Words(Protocol):
    """What a family read from a spec's prompts."""

    @property
    def key(self) -> Hashable:
        """What images must have in common to share a forward: whatever the shape of their conditioning depends on."""

    @property
    def dropped(self) -> str:
        """The end of the prompt that did not fit, to be shown to the user."""


class Denoiser(Protocol):
    """What predicts rows, as `Family.denoise` does."""

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor: ...


class AcceleratedDenoiser(Denoiser, Protocol):
    """What runs some of a family's forwards in its place, in less time."""

    holds_weights: bool
    """Whether it has weights of its own in memory."""

    def takes(self, spec: ImageSpec, latent_shape: tuple[int, int, int]) -> bool:
        """Return whether it runs the forwards of an image. The spec alone decides: bits must not depend on company."""

    def clear(self) -> None:
        """Free what can be made again."""


class Family(Protocol):
    """One loaded model."""

    ladder: tuple[int, ...]
    """Bucket sizes in rows that a forward may have, ascending. Fixed, so that a trace means the same everywhere."""
    accelerated: AcceleratedDenoiser | None
    """What runs plain forwards in place of `denoise`: OpenVINO (`compiled`) or CUDA graphs (`cuda_graphs`)."""

    @property
    def latent_channels(self) -> int: ...
    @property
    def pixels_per_latent(self) -> int: ...
    @property
    def takes_mask(self) -> bool:
        """Whether it is an inpainting model: `denoise` wants `MASK` among its conditioning."""

    @property
    def can_cache(self) -> bool:
        """Whether `denoise` runs the outer layers alone in a shallow forward (`step_cache`)."""

    @property
    def denoiser(self) -> Any:
        """The network that `denoise` runs."""

    @property
    def vae(self) -> Any: ...
    @property
    def adapters(self) -> Adapters:
        """Its LoRA."""

    @property
    def text_encoders(self) -> Mapping[str, Any]:
        """The networks that read words, by their folder."""

    def offer(self, model: Model) -> None:
        """Know the LoRA and textual inversions of `model`, which may be more than when this was loaded."""

    def tokenize(self, spec: ImageSpec) -> Any:
        """Return the tokens of `[negative,] positive...`, for each row, as `Words`. Cheap: no model runs."""

    def condition(self, spec: ImageSpec, words: Any) -> Conditioning:
        """Run the text encoders, always one prompt chunk at a time, so that the bits never depend on the company."""

    def edit(self, spec: ImageSpec, words: Any, seen: Sequence[Seen]) -> Conditioning:
        """Return `condition` of a spec with references, and what the network sees of these (`REFERENCE`).

        Only of a family whose models edit by instruction.
        """

    def use(self, adapters: tuple[Adapter, ...]) -> None:
        """Let only these LoRA change what `denoise` predicts from now on (`condition` selects its own)."""

    def sampling(
        self,
        spec: ImageSpec,
        size_px: tuple[int, int],
        *,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Sampling:
        """Return the sampler of one walk at that size; `strength` and `generator` as `Sampling` takes them."""

    def guide(self, prediction: Tensor, spec: ImageSpec) -> Tensor:
        """Return the prediction (1, C, h, w), float32, that an image's sampler takes, from `[negative,] positive`: its
        rows, those of regions blended."""

    def denoise(self, latents: Tensor, timesteps: Tensor, conditioning: Conditioning) -> Tensor:
        """Return predictions (rows, C, h, w) for latents of that shape, timesteps (rows,) and conditioning by row."""

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
        """Return what a ControlNet adds for these rows, each at its strength, by the place where it is added.

        `pictures` (rows, C, h, w): what `view` returned. `mode`: of a Union, the number of what its pictures are.

        Only of a family whose models have ControlNets; the inputs are those of `denoise`.
        """

    def view(self, network: Any, picture: Tensor) -> Tensor:
        """Return what a ControlNet sees of a picture (1, 3, H, W) in 0..1."""

    def encode(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Encode pixels (1, 3, H, W) in -1..1 to scaled float32 latents (1, C, h, w), drawing from the generator."""

    def decode(self, latents: Tensor) -> Tensor:
        """Decode scaled latents (1, C, h, w) to pixels (1, 3, H, W), about -1..1, in float32."""


class WithVae:
    """What every `Family` here has in common: the ladder, and a VAE that halves the sides at each level but one."""

    ladder: tuple[int, ...] = LADDER
    accelerated: AcceleratedDenoiser | None = None
    _vae: Any
    _adapters: Adapters

    @property
    def vae(self) -> Any:
        return self._vae

    @property
    def adapters(self) -> Adapters:
        return self._adapters

    def use(self, adapters: tuple[Adapter, ...]) -> None:
        self._adapters.use(adapters)

    def edit(self, spec: ImageSpec, words: Any, seen: Sequence[Seen]) -> Conditioning:
        raise NotImplementedError("references are refused at admission")

    @property
    def pixels_per_latent(self) -> int:
        return int(2 ** (len(self._vae.config.block_out_channels) - 1))


def list_references(conditioning: Conditioning) -> list[Tensor]:
    """Return what the network sees of the pictures to edit, in their order."""
    number = sum(name.startswith(REFERENCE) for name in conditioning)
    return [conditioning[f"{REFERENCE}{place}"] for place in range(number)]
