"""What models cost: a picture where nothing is chosen, and to load one."""

from __future__ import annotations

from generation.models.catalog import Catalog, Model
from generation.models.weights import count_weight_bytes
from generation.requests.cost import image_cost, price_load
from generation.requests.spec import ImageSpec


def compute_usual_cost(model: Model) -> int:
    """Return the cost units of one picture with the model's defaults."""
    return image_cost(ImageSpec.for_model(model, prompt="-", seed=0), work=model.work)


def price_load_of(catalog: Catalog, name: str) -> int:
    """Return the cost units of loading a model; 0 of one that is gone."""
    return sum(price_load(count_weight_bytes(model)) for model in catalog.models if model.name == name)
