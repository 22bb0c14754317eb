"""The choices that a model makes for a request that leaves them open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """A model's own choices. Sizes in pixels."""

    steps: int
    guidance: float
    sampler: str
    native_px: int


class HasDefaults(Protocol):
    """The parts of a model that fill in a spec; `generation.models.catalog.Model` has them."""

    @property
    def name(self) -> str: ...
    @property
    def defaults(self) -> Defaults: ...
