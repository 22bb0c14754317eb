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
from generation.requests.passes import count_steps_run
from generation.requests.samplers import SAMPLERS
from generation.requests.spec import ImageSpec


def build_scheduler(name: str, config: Mapping[str, Any]) -> Any:
    """Return the diffusers scheduler of a sampler's public name, configured for the model."""
    sampler = SAMPLERS[name]
    return getattr(diffusers, sampler.scheduler).from_config(dict(config), **sampler.settings)


def check_samplers(config: Mapping[str, Any]) -> None:
    """Raise `ValueError` naming a sampler that the model's settings make fail, tried on a few numbers.

    The rules of `scheduler_config` refuse what is known to fail; this finds the rest, before any picture does.
    """
    for name in SAMPLERS:
        try:
            is_finite = _try_sampler(name, config)
        except Exception as error:  # any error of a library on settings it did not expect
            raise ValueError(f"does not work with the sampler {name} ({str(error)[:120]})") from error
        if not is_finite:
            raise ValueError(f"makes numbers that are not finite with the sampler {name}")


def _try_sampler(name: str, config: Mapping[str, Any]) -> bool:
    """Return whether a short walk over a few numbers ends with numbers."""
    spec = ImageSpec(prompt="a", model="a", width_px=64, height_px=64, steps=4, guidance=1.0, sampler=name, seed=0)
    sampling = Sampling(spec, config)
    latents = sampling.draw((1, 4, 2, 2)) * sampling.scheduler.init_noise_sigma
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
        self.scheduler = build_scheduler(spec.sampler, config)
        self.generator = generator or torch.Generator("cpu").manual_seed(spec.seed)
        self._set_timesteps(spec)
        begin: int = (spec.steps - count_steps_run(spec.steps, strength)) * self.scheduler.order
        self.timesteps: Tensor = self.scheduler.timesteps[begin:]
        self.times: list[float] = self.timesteps.tolist()
        if hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(begin)
        takes_generator = "generator" in inspect.signature(self.scheduler.step).parameters
        self._step_options = {"generator": self.generator} if takes_generator else {}

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

    def _set_timesteps(self, spec: ImageSpec) -> None:
        try:
            self.scheduler.set_timesteps(spec.steps, device="cpu")
        except ValueError as error:
            raise SamplerUnusableError(name=spec.sampler, reason=str(error)) from error
