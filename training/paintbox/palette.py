"""The twelve colours of the world: the values for drawing, and the names for the judge."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

Rgb = tuple[int, int, int]

COLOURS: Final[Mapping[str, Rgb]] = MappingProxyType(
    {
        "red": (218, 38, 38),
        "green": (38, 158, 68),
        "blue": (40, 84, 222),
        "yellow": (250, 216, 44),
        "orange": (246, 132, 24),
        "purple": (134, 56, 184),
        "pink": (250, 150, 192),
        "white": (250, 250, 250),
        "black": (24, 24, 28),
        "brown": (124, 74, 38),
        "gray": (138, 138, 144),
        "cyan": (60, 212, 222),
    }
)


def mix(first: Rgb, second: Rgb, share: float) -> Rgb:
    """Return the colour `share` of the way (0 to 1) from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def shade(colour: Rgb) -> Rgb:
    """Return the darker tone for details (a door, an eye); a lighter one where `colour` is too dark to darken."""
    if sum(colour) < 150:
        return mix(colour, (255, 255, 255), 0.4)
    return mix(colour, (0, 0, 0), 0.5)
