"""What models and their add-ons were trained on, by family or by what they read of a prompt."""

from __future__ import annotations

from typing import Protocol

BASES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""Well-known widths of what a UNet reads from the prompt, and whose they are."""
TRANSFORMERS = {
    "zimage": "Z-Image",
    "klein": "FLUX.2 klein 4B",
    "klein9b": "FLUX.2 klein 9B",
    "qwenimage": "Qwen-Image",
    "qwenedit": "Qwen-Image-Edit",
    "qweneditplus": "Qwen-Image-Edit-Plus",
    "krea2": "Krea 2",
    "ernie": "ERNIE-Image",
    "flux": "FLUX.1",
    "kontext": "FLUX.1 Kontext",
    "chroma": "Chroma",
    "sd3": "Stable Diffusion 3.5 Medium",
    "sd3large": "Stable Diffusion 3.5 Large",
}
"""Families whose LoRA are told by their layers, by the engine's name; those of Stable Diffusion are by `BASES`."""


class HasBase(Protocol):
    """What tells the kind of a model or of an add-on."""

    @property
    def base_model(self) -> str: ...
    @property
    def family(self) -> str: ...
    @property
    def context_width(self) -> int: ...


def name_base(made: HasBase) -> str:
    """Return what a model or an add-on was trained on: as its page says, else by its family; empty if not known."""
    return made.base_model or name_family(made)


def name_family(made: HasBase) -> str:
    """Return the kind of model that an add-on is for, or that a model is; empty if not known."""
    titles = ", ".join(TRANSFORMERS[family] for family in made.family.split() if family in TRANSFORMERS)
    return titles or BASES.get(made.context_width, "")
