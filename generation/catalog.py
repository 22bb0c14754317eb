"""The models that may be used: where they are, what they are, and what suits them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from generation.errors import UnknownModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What an image of this model gets where the person chose nothing. Sizes in pixels."""

    steps: int
    guidance: float
    sampler: str
    native_px: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One model in the diffusers layout on local disk."""

    name: str
    path: Path
    family: str
    """The file of `generation/engine/families` that runs it: `sd` for Stable Diffusion 1.x and 2.x."""
    licence: str
    defaults: Defaults
    safety_checker: Path | None = None
    upscaler: Path | None = None

    def shapes(self) -> dict[str, tuple[int, int]]:
        """The five aspect ratios offered, each with (width, height) of about native area, in multiples of 64 (or 8)."""
        native = self.defaults.native_px
        grid = 64 if native >= 512 else 8
        ratios = {"1:1": 1.0, "3:2": 1.5, "2:3": 1 / 1.5, "16:9": 16 / 9, "9:16": 9 / 16}
        return {name: _fit(native, ratio, grid=grid) for name, ratio in ratios.items()}


@dataclass(frozen=True, slots=True)
class Catalog:
    """The models of this installation; the first is the default."""

    models: tuple[Model, ...]

    @property
    def default(self) -> Model:
        return self.models[0]

    def get(self, name: str) -> Model:
        """The model of that name. Raises `UnknownModel`, naming those there are."""
        for model in self.models:
            if model.name == name:
                return model
        raise UnknownModel(model=name[:60], available=", ".join(model.name for model in self.models))


def _fit(native_px: int, ratio: float, *, grid: int) -> tuple[int, int]:
    width = round(native_px * ratio**0.5 / grid) * grid
    height = round(native_px / ratio**0.5 / grid) * grid
    return width, height
