"""Models to begin with. Sizes and licences are those that their pages state; memory is calculated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """A model of the hub, and what it asks of the machine. `name` is what members call it."""

    name: str
    title: str
    hub_id: str
    size_gb: float
    memory_gb: int
    licence: str

    @property
    def line(self) -> str:
        """What a person reads before they choose it."""
        return (
            f"{self.title} ({self.hub_id}): {self.size_gb:g} GB to download, {self.memory_gb} GB of graphics memory,"
            f" licence {self.licence}"
        )


RECIPES = (
    ModelRecipe(
        "sd15",
        "Stable Diffusion 1.5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        2.1,
        4,
        "CreativeML Open RAIL-M",
    ),
    ModelRecipe(
        "sdxl",
        "Stable Diffusion XL",
        "stabilityai/stable-diffusion-xl-base-1.0",
        6.9,
        11,
        "CreativeML Open RAIL++-M",
    ),
    ModelRecipe(
        "dreamshaper-lcm",
        "DreamShaper 8 LCM, few steps",
        "Lykon/dreamshaper-8-lcm",
        2.1,
        4,
        "CreativeML Open RAIL-M",
    ),
)
"""In half precision."""
