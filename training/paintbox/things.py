"""The twenty things of the world, each as filled shapes in the unit square.

x runs right and y runs down, both from -1 to 1, so that one radius in pixels sets the size of every thing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""A closed polygon: (corners, 2), x then y."""

Role = Literal["body", "limb", "detail", "hole"]
"""`body` wears the thing's colour, so does a `limb` (too thin to be drawn as an outline), `detail` wears its shade,
and a `hole` lets the background through."""


@dataclass(frozen=True)
class Part:
    """One polygon of a thing."""

    role: Role
    points: Points


def _polygon(*corners: tuple[float, float], role: Role = "body") -> Part:
    return Part(role, np.array(corners, np.float64))


def _box(left: float, top: float, right: float, bottom: float, role: Role = "body") -> Part:
    return _polygon((left, top), (right, top), (right, bottom), (left, bottom), role=role)


def _arc(x: float, y: float, rx: float, ry: float, start: float = 0.0, end: float = math.tau) -> Points:
    angle = np.linspace(start, end, 41)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], -1)


def _oval(x: float, y: float, rx: float, ry: float | None = None, role: Role = "body") -> Part:
    return Part(role, _arc(x, y, rx, rx if ry is None else ry)[:-1])


def _limb(x0: float, y0: float, x1: float, y1: float, half: float = 0.08, role: Role = "body") -> Part:
    length = math.hypot(x1 - x0, y1 - y0)
    across_x, across_y = -(y1 - y0) / length * half, (x1 - x0) / length * half
    return _polygon(
        (x0 + across_x, y0 + across_y),
        (x1 + across_x, y1 + across_y),
        (x1 - across_x, y1 - across_y),
        (x0 - across_x, y0 - across_y),
        role=role,
    )


def _circle() -> list[Part]:
    return [_oval(0, 0, 0.9)]


def _square() -> list[Part]:
    return [_box(-0.8, -0.8, 0.8, 0.8)]


def _triangle() -> list[Part]:
    return [_polygon((0, -0.9), (0.98, 0.8), (-0.98, 0.8))]


def _diamond() -> list[Part]:
    return [_polygon((0, -1), (0.68, 0), (0, 1), (-0.68, 0))]


def _cross() -> list[Part]:
    a, b = 0.3, 0.92
    return [
        _polygon(
            (-a, -b), (a, -b), (a, -a), (b, -a), (b, a), (a, a),
            (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a),
        )
    ]  # fmt: skip


def _star() -> list[Part]:
    angle = np.arange(10) * math.pi / 5 - math.pi / 2
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.42)
    return [Part("body", np.stack([radius * np.cos(angle), radius * np.sin(angle) + 0.06], -1))]


def _heart() -> list[Part]:
    angle = np.linspace(0, math.tau, 60)[:-1]
    x = 16 * np.sin(angle) ** 3
    y = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return [Part("body", np.stack([x / 16.5, -y / 16.5 - 0.1], -1))]


def _moon() -> list[Part]:
    outer = _arc(0.1, 0, 0.95, 0.95, math.radians(62), math.radians(298))
    inner = _arc(0.45, 0, 0.7, 0.84, math.radians(280), math.radians(80))
    return [Part("body", np.concatenate([outer, inner]))]


def _sun() -> list[Part]:
    rays = []
    for angle in np.arange(8) * math.tau / 8:
        tip, left, right = angle, angle - 0.28, angle + 0.28
        corners = [(1.02, tip), (0.5, right), (0.5, left)]
        rays.append(_polygon(*((r * math.cos(a), r * math.sin(a)) for r, a in corners)))
    return [*rays, _oval(0, 0, 0.56)]


def _ring() -> list[Part]:
    return [_oval(0, 0, 0.92), _oval(0, 0, 0.48, role="hole")]


def _house() -> list[Part]:
    return [
        _box(-0.68, -0.15, 0.68, 0.92),
        _polygon((-0.98, -0.1), (0, -0.95), (0.98, -0.1), role="detail"),
        _box(-0.15, 0.4, 0.2, 0.92, role="detail"),
    ]


def _tree() -> list[Part]:
    crown = [_oval(x, y, r) for x, y, r in [(0, -0.5, 0.46), (-0.38, -0.1, 0.42), (0.38, -0.1, 0.42)]]
    return [_box(-0.15, 0.1, 0.15, 0.98, role="detail"), *crown]


def _boat() -> list[Part]:
    return [
        _polygon((-0.98, 0.32), (0.98, 0.32), (0.6, 0.85), (-0.6, 0.85)),
        _box(-0.1, -0.9, 0.03, 0.34, role="detail"),
        _polygon((0.03, -0.9), (0.78, 0.12), (0.03, 0.12)),
        _polygon((-0.1, -0.6), (-0.1, 0.12), (-0.62, 0.12)),
    ]


def _fish() -> list[Part]:
    return [
        _polygon((-0.4, 0), (-0.98, -0.5), (-0.98, 0.5)),
        _oval(0.15, 0, 0.8, 0.48),
        _oval(0.55, -0.12, 0.12, role="detail"),
    ]


def _cat() -> list[Part]:
    return [
        _polygon((-0.8, 0.1), (-0.74, -0.92), (-0.1, -0.4)),
        _polygon((0.8, 0.1), (0.74, -0.92), (0.1, -0.4)),
        _oval(0, 0.15, 0.85, 0.7),
        _oval(-0.34, 0.02, 0.13, 0.16, role="detail"),
        _oval(0.34, 0.02, 0.13, 0.16, role="detail"),
        _polygon((-0.14, 0.35), (0.14, 0.35), (0, 0.52), role="detail"),
    ]


def _flower() -> list[Part]:
    petals = [
        _oval(0.38 * math.cos(a), -0.35 + 0.38 * math.sin(a), 0.27) for a in np.arange(6) * math.tau / 6 + math.pi / 6
    ]
    stem = [_limb(0, 0, 0, 1, 0.07, "detail"), _limb(0, 0.85, 0.42, 0.5, 0.1, "detail")]
    return [*stem, *petals, _oval(0, -0.35, 0.22, role="detail")]


def _mushroom() -> list[Part]:
    cap = np.concatenate([_arc(0, 0.1, 0.96, 0.92, math.pi, math.tau), np.array([[0.7, 0.24], [-0.7, 0.24]])])
    spots = [_oval(-0.42, -0.22, 0.16, role="detail"), _oval(0.3, -0.4, 0.17, role="detail")]
    return [_box(-0.26, 0.15, 0.26, 0.92, role="detail"), Part("body", cap), *spots]


def _car() -> list[Part]:
    return [
        _polygon((-0.98, -0.1), (0.86, -0.1), (0.98, 0.1), (0.98, 0.42), (-0.98, 0.42)),
        _polygon((-0.7, -0.05), (-0.42, -0.58), (0.3, -0.58), (0.6, -0.05)),
        _polygon((-0.02, -0.12), (-0.02, -0.44), (0.22, -0.44), (0.4, -0.12), role="detail"),
        _oval(-0.52, 0.42, 0.25, role="detail"),
        _oval(0.52, 0.42, 0.25, role="detail"),
    ]


def _bird() -> list[Part]:
    return [
        _polygon((-0.3, 0), (-1.0, -0.2), (-0.85, 0.4)),
        _oval(-0.02, 0.12, 0.58, 0.42),
        _oval(0.45, -0.38, 0.33),
        _polygon((0.7, -0.52), (1.02, -0.34), (0.7, -0.2), role="detail"),
        _polygon((-0.35, 0.0), (0.25, 0.0), (-0.2, 0.4), role="detail"),
        _limb(-0.1, 0.5, -0.1, 0.9, 0.06, "detail"),
        _limb(0.18, 0.5, 0.18, 0.9, 0.06, "detail"),
    ]


def _spider() -> list[Part]:
    legs = []
    for side in (-1, 1):
        for start, knee, foot in [(-0.2, -0.62, -0.95), (-0.05, -0.22, -0.3), (0.1, 0.2, 0.36), (0.25, 0.6, 0.98)]:
            legs.append(_limb(side * 0.2, start, side * 0.62, knee, 0.075, "limb"))
            legs.append(_limb(side * 0.6, knee, side * 0.96, foot, 0.075, "limb"))
    return [*legs, _oval(0, 0.22, 0.4, 0.44), _oval(0, -0.3, 0.26)]


_MAKERS: Final[Mapping[str, Callable[[], list[Part]]]] = MappingProxyType(
    {
        "circle": _circle, "square": _square, "triangle": _triangle, "diamond": _diamond, "cross": _cross,
        "star": _star, "heart": _heart, "moon": _moon, "sun": _sun, "ring": _ring, "house": _house,
        "tree": _tree, "boat": _boat, "fish": _fish, "cat": _cat, "flower": _flower,
        "mushroom": _mushroom, "car": _car, "bird": _bird, "spider": _spider,
    }
)  # fmt: skip

THINGS: Final[Mapping[str, tuple[Part, ...]]] = MappingProxyType(
    {name: tuple(make()) for name, make in _MAKERS.items()}
)

FACING: Final = frozenset({"moon", "boat", "fish", "car", "bird", "flower", "mushroom"})
"""Things with a left and a right side: drawn facing either way."""
