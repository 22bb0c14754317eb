"""What is known of a kind of transformer in one file, and how its header is read. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from generation.models.checkpoint import Shapes

FLOW = "FlowMatchEulerDiscreteScheduler"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerLayout:
    """How files of a kind are told, and what they lack. Shapes come by their names without a prefix."""

    families: tuple[str, ...]
    find: Callable[[Shapes], str]
    """Returns the family of a file; empty if it is of another kind. Raises `IncompatibleFileError` for a relative that
    cannot be run."""
    derive: Callable[[Shapes], Mapping[str, Any]]
    """Returns the settings of the transformer. Raises `LookupError`, `ValueError` or `ZeroDivisionError` if its shapes
    are unknown here."""
    schedule: Mapping[str, Any] | Callable[[Shapes], Mapping[str, Any]]
    """The settings of the scheduler that no header tells, or what returns them where they differ by shapes."""
    by_name: Mapping[str, str] = field(default_factory=dict)
    """Other families whose files have the same shapes, by the word in a file's name that tells them."""
    vae: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a VAE in one file that are others than those of FLUX.1, whose shapes it has."""
    text_class: str = ""
    """What the index calls the text encoder, where it is not the first class that the family takes."""
    build_more: Callable[[str], Mapping[str, Any]] = field(default=lambda hint: {})
    """Returns what else the index says, by the file's name."""


def find(shapes: Shapes, names: tuple[str, ...]) -> tuple[int, ...] | None:
    """Return the shape of the first of these names that is there."""
    return next((shapes[name] for name in names if name in shapes), None)


def require(shapes: Shapes, names: tuple[str, ...]) -> tuple[int, ...]:
    """Return what `find` does. Raise `LookupError` if none is there."""
    found = find(shapes, names)
    if found is None:
        raise LookupError(names[0])
    return found


def count_blocks(shapes: Shapes, *prefixes: str) -> int:
    """Return how many numbers follow the first prefix that is there, counted from 0. Raise `LookupError` if none is."""
    for prefix in prefixes:
        numbers = {name[len(prefix) :].split(".")[0] for name in shapes if name.startswith(prefix)}
        if found := [int(number) for number in numbers if number.isdecimal()]:
            return max(found) + 1
    raise LookupError(prefixes[0])
