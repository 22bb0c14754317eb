"""What a picture costs with a model where nothing is chosen."""

from __future__ import annotations

from generation.models.catalog import Model
from generation.requests.cost import image_cost
from generation.requests.spec import ImageSpec


def compute_usual_cost(model: Model) -> int:
    """Return the cost units of one picture with the model's defaults."""
    return image_cost(ImageSpec.for_model(model, prompt="-", seed=0), work=model.work)
