"""One image's sampler: its own diffusers scheduler object and its own CPU generator.

Schedulers keep state from step to step and cannot be shared by images at different steps, so the forward is shared
and the scheduler is not. Built `from_config` of the model's own scheduler plus the sampler's settings.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import diffusers
import torch
from torch import Tensor

from generation.engine.errors import SamplerUnusableError
from generation.engine.fused_steps import find_table
from generation.requests.passes import count_steps_run
from generation.requests.samplers import SAMPLERS, list_samplers
from generation.requests.spec import ImageSpec


def build_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """Return the diffusers scheduler of a sampler's public name, configured for a model trained by diffusion."""
    sampler = SAMPLERS[name]
    return getattr(diffusers, sampler.scheduler).from_config(dict(config), **sampler.settings)


def build_flow_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """Return the diffusers scheduler of a sampler's public name for a model trained by flow matching.

    Raise `SamplerUnusableError` for a sampler of other models.
    """
    sampler = SAMPLERS[name]
    if not sampler.flow_scheduler:
        raise SamplerUnusableError(name=name, reason="it is for models trained by diffusion")
    return getattr(diffusers, sampler.flow_scheduler).from_config(dict(config), **sampler.flow_settings)


def check_samplers(config: Mapping[str, Any], *, is_flow: bool = False) -> None:
    """Raise `ValueError` naming a sampler that the model's settings make fail, tried on a few numbers.

    The rules of `scheduler_config` refuse what is known to fail; this finds the rest, before any picture does.
    """
    for name in list_samplers(is_flow=is_flow):
        try:
            is_finite = _try_sampler(name, config, is_flow=is_flow)
        except Exception as error:  # any error of a library on settings it did not expect
            raise ValueError(f"does not work with the sampler {name} ({str(error)[:120]})") from error
        if not is_finite:
            raise ValueError(f"makes numbers that are not finite with the sampler {name}")


def _try_sampler(name: str, config: Mapping[str, Any], *, is_flow: bool) -> bool:
    """Return whether a short walk over a few numbers ends with numbers."""
    spec = ImageSpec(prompt="a", model="a", width_px=64, height_px=64, steps=4, guidance=1.0, sampler=name, seed=0)
    sampling = FlowSampling(spec, config, mu=1.0) if is_flow else Sampling(spec, config)
    latents = sampling.draw((1, 4, 2, 2)) * sampling.init_noise_sigma
    for index in range(len(sampling.times)):
        shown = sampling.scale_input(latents, index)
        latents, _ = sampling.step(0.1 * shown, index, latents)
    return bool(torch.isfinite(latents).all())


class Sampling:
    """The sampler of one image: its timesteps, and how a prediction moves the latents.

    Timesteps and sigmas stay on the CPU wherever the latents are: looking at one must not wait for a GPU.
    `strength` leaves out the noisiest steps; a second walk goes on with the generator of the first.
    """

    def __init__(
        self,
        spec: ImageSpec,
        config: Mapping[str, Any],
        *,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        self.generator = generator or torch.Generator("cpu").manual_seed(spec.seed)
        try:
            self.scheduler = self._build_scheduler(spec, config)
        except ValueError as error:
            raise SamplerUnusableError(name=spec.sampler, reason=str(error)) from error
        self.begin: int = (spec.steps - count_steps_run(spec.steps, strength)) * self.scheduler.order
        self.timesteps: Tensor = self.scheduler.timesteps[self.begin :]
        self.times: list[float] = self.timesteps.tolist()
        self.table = find_table(self.scheduler)
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(self.begin)
        takes_generator = "generator" in inspect.signature(self.scheduler.step).parameters
        self._step_options = {"generator": self.generator} if takes_generator else {}

    @property
    def init_noise_sigma(self) -> float | Tensor:
        """What the first noise is multiplied by."""
        sigma: float | Tensor = self.scheduler.init_noise_sigma
        return sigma

    def draw(self, shape: tuple[int, ...]) -> Tensor:
        """Return standard normal noise, float32 on the CPU, next in this image's own sequence."""
        return torch.randn(shape, generator=self.generator)

    def scale_input(self, latents: Tensor, index: int) -> Tensor:
        """Return the model's input at evaluation `index`."""
        scaled: Tensor = self.scheduler.scale_model_input(latents, self.timesteps[index])
        return scaled

    def step(self, prediction: Tensor, index: int, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(next latents, best guess of the final latents)` after evaluation `index`."""
        output = self.scheduler.step(prediction, self.timesteps[index], latents, **self._step_options)
        guess = getattr(output, "pred_original_sample", None)
        if guess is None and getattr(self.scheduler, "model_outputs", None):
            guess = self.scheduler.model_outputs[-1]
        return output.prev_sample, output.prev_sample if guess is None else guess

    def add_noise(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        """Return clean latents as they would look before evaluation `index`."""
        noised: Tensor = self.scheduler.add_noise(latents, noise, self.timesteps[index : index + 1])
        return noised

    def _build_scheduler(self, spec: ImageSpec, config: Mapping[str, Any]) -> Any:
        """Return the scheduler with its timesteps set."""
        scheduler = build_scheduler(spec.sampler, config)
        scheduler.set_timesteps(spec.steps, device="cpu")
        return scheduler


class FlowSampling(Sampling):
    """The sampler of one image of a model trained by flow matching: noise is mixed in along a straight line.

    `mu`: the shift of a schedule that depends on the picture's size (`use_dynamic_shifting`); others ignore it.
    `plans_sigmas`: its noise is planned evenly before the shift; else as the scheduler was trained.
    """

    def __init__(
        self,
        spec: ImageSpec,
        config: Mapping[str, Any],
        *,
        mu: float,
        plans_sigmas: bool = True,
        strength: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        self._mu, self._plans_sigmas = mu, plans_sigmas
        super().__init__(spec, config, strength=strength, generator=generator)

    @property
    def init_noise_sigma(self) -> float:
        return 1.0

    def scale_input(self, latents: Tensor, index: int) -> Tensor:
        return latents

    def step(self, prediction: Tensor, index: int, latents: Tensor) -> tuple[Tensor, Tensor]:
        output = self.scheduler.step(prediction, self.timesteps[index], latents, **self._step_options)
        return output.prev_sample, latents - self._sigma(index) * prediction

    def add_noise(self, latents: Tensor, noise: Tensor, index: int) -> Tensor:
        # Not the scheduler's `scale_noise`: that goes by its own counter, whatever step it is asked for.
        sigma = self._sigma(index)
        return sigma * noise + (1.0 - sigma) * latents

    def _build_scheduler(self, spec: ImageSpec, config: Mapping[str, Any]) -> Any:
        if spec.steps == 1:  # it is the first step and the last one: stretched to an end, it would be no number
            config = {**config, "shift_terminal": None}
        scheduler = build_flow_scheduler(spec.sampler, config)
        if self._plans_sigmas:
            sigmas = torch.linspace(1.0, 1 / spec.steps, spec.steps).tolist()
            scheduler.set_timesteps(sigmas=sigmas, mu=self._mu, device="cpu")
        else:
            scheduler.set_timesteps(spec.steps, mu=self._mu, device="cpu")
        return scheduler

    def _sigma(self, index: int) -> Tensor:
        sigma: Tensor = self.scheduler.sigmas[self.begin + index]
        return sigma
