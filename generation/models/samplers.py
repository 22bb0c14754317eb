"""Which samplers a model paints with, and whether its defaults can be painted."""

from __future__ import annotations

from generation.models.catalog import Model
from generation.models.errors import SamplerNotOfModelError
from generation.requests.spec import ImageSpec


def check_defaults(model: Model) -> None:
    """Raise `InvalidRequestError` unless a request that leaves all open can be painted with the model's defaults."""
    prompt, negative = model.defaults.complete("a", "", None)
    require_sampler(model, ImageSpec.for_model(model, prompt=prompt, negative=negative, seed=0).sampler)


def require_sampler(model: Model, name: str) -> None:
    """Raise `SamplerNotOfModelError`, naming those that do, if that sampler does not work with the model."""
    if name not in model.samplers:
        raise SamplerNotOfModelError(name=name, model=model.name, samplers=", ".join(model.samplers))
