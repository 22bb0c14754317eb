"""The samplers people may name, as data: which diffusers class each one is, and how it is configured.

Names are those of the AUTOMATIC1111 web UI, because they are what people paste. The engine builds every sampler
with `from_config` of the model's own scheduler configuration, so only the differences stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One sampler: its public name, the diffusers class behind it and the settings that differ from the model's."""

    name: str
    scheduler: str
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    evaluations_per_step: int = 1
    extra_evaluations: int = 0
    max_steps: int | None = None
    """Where the sampler itself can do no more: a consistency model's schedule has 50 entries."""

    def num_evaluations(self, num_steps: int, *, of: int) -> int:
        """Return the model calls of the last `num_steps` of a schedule `of` so many: Heun 2n - 1, PNDM n + 1.

        A schedule of a single step is one call for all: PNDM looks twice at its second step, and then there is none.
        """
        return 1 if of == 1 else self.evaluations_per_step * num_steps + self.extra_evaluations


def _with(**settings: object) -> Mapping[str, object]:
    return MappingProxyType(settings)


_TABLE = (
    Sampler(name="Euler a", scheduler="EulerAncestralDiscreteScheduler"),
    Sampler(name="Euler", scheduler="EulerDiscreteScheduler"),
    Sampler(name="Heun", scheduler="HeunDiscreteScheduler", evaluations_per_step=2, extra_evaluations=-1),
    Sampler(name="DPM++ 2M", scheduler="DPMSolverMultistepScheduler", settings=_with(algorithm_type="dpmsolver++")),
    Sampler(
        name="DPM++ 2M Karras",
        scheduler="DPMSolverMultistepScheduler",
        settings=_with(algorithm_type="dpmsolver++", use_karras_sigmas=True),
    ),
    Sampler(
        name="DPM++ 2M SDE",
        scheduler="DPMSolverMultistepScheduler",
        settings=_with(algorithm_type="sde-dpmsolver++"),
    ),
    Sampler(name="DDIM", scheduler="DDIMScheduler"),
    Sampler(name="PLMS", scheduler="PNDMScheduler", settings=_with(skip_prk_steps=True), extra_evaluations=1),
    Sampler(name="UniPC", scheduler="UniPCMultistepScheduler"),
    Sampler(name="LCM", scheduler="LCMScheduler", max_steps=50),
    # A model distilled to a few steps begins at the last timestep, so the spacing is "trailing" whatever its settings.
    Sampler(name="Euler SGM Uniform", scheduler="EulerDiscreteScheduler", settings=_with(timestep_spacing="trailing")),
    Sampler(
        name="Euler a SGM Uniform",
        scheduler="EulerAncestralDiscreteScheduler",
        settings=_with(timestep_spacing="trailing"),
    ),
)

SAMPLERS: Mapping[str, Sampler] = MappingProxyType({sampler.name: sampler for sampler in _TABLE})
"""Every sampler by its public name, in the order menus show them."""
