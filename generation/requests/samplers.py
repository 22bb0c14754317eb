"""The samplers people may name, as data: which diffusers class each one is, and how it is configured.

Names are those of the AUTOMATIC1111 web UI, because they are what people paste. The engine builds every sampler
with `from_config` of the model's own scheduler configuration, so only the differences stand here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampler:
    """One sampler: its public name, the diffusers class behind it and the settings that differ from the model's."""

    name: str
    scheduler: str
    settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    flow_scheduler: str = ""
    """The class for a model that is trained by flow matching; empty: not for those."""
    flow_settings: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    ignores_zero_snr: bool = False
    """Whether it starts where a usual model does, whatever a model of zero terminal SNR asks for: a grey picture."""
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


_FLOW_EULER = "FlowMatchEulerDiscreteScheduler"
_TABLE = (
    Sampler(
        name="Euler a",
        scheduler="EulerAncestralDiscreteScheduler",
        flow_scheduler=_FLOW_EULER,
        flow_settings=_with(stochastic_sampling=True),
    ),
    Sampler(name="Euler", scheduler="EulerDiscreteScheduler", flow_scheduler=_FLOW_EULER),
    Sampler(
        name="Heun",
        scheduler="HeunDiscreteScheduler",
        evaluations_per_step=2,
        extra_evaluations=-1,
        ignores_zero_snr=True,
    ),
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
    Sampler(
        name="PLMS",
        scheduler="PNDMScheduler",
        settings=_with(skip_prk_steps=True),
        extra_evaluations=1,
        ignores_zero_snr=True,
    ),
    Sampler(name="UniPC", scheduler="UniPCMultistepScheduler"),
    Sampler(name="LCM", scheduler="LCMScheduler", max_steps=50, flow_scheduler="FlowMatchLCMScheduler"),
    Sampler(name="TCD", scheduler="TCDScheduler", max_steps=50),
    # A model distilled to a few steps begins at the last timestep, so the spacing is "trailing" whatever its settings.
    Sampler(name="Euler SGM Uniform", scheduler="EulerDiscreteScheduler", settings=_with(timestep_spacing="trailing")),
    Sampler(
        name="Euler a SGM Uniform",
        scheduler="EulerAncestralDiscreteScheduler",
        settings=_with(timestep_spacing="trailing"),
    ),
    Sampler(
        name="DPM++ 2M SGM Uniform",
        scheduler="DPMSolverMultistepScheduler",
        settings=_with(algorithm_type="dpmsolver++", timestep_spacing="trailing"),
    ),
    Sampler(name="DDIM SGM Uniform", scheduler="DDIMScheduler", settings=_with(timestep_spacing="trailing")),
)

SAMPLERS: Mapping[str, Sampler] = MappingProxyType({sampler.name: sampler for sampler in _TABLE})
"""Every sampler by its public name, in the order menus show them."""


@lru_cache
def list_samplers(*, is_flow: bool, is_zero_snr: bool = False) -> tuple[str, ...]:
    """Return the names of those that work with a kind of model: trained by flow matching, or of zero terminal SNR."""
    if is_flow:
        return tuple(each.name for each in _TABLE if each.flow_scheduler)
    return tuple(each.name for each in _TABLE if not (is_zero_snr and each.ignores_zero_snr))
