"""Curves over time as an SVG: small charts below each other, each from zero, labelled with its maximum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, GAP, LEFT = 720, 90, 44, 56


@dataclass(frozen=True, slots=True)
class Curve:
    """`points` are (minutes, value)."""

    title: str
    points: Sequence[tuple[float, float]]


def draw(curves: Sequence[Curve]) -> str:
    """Return the chart."""
    height = len(curves) * (HEIGHT + GAP) + GAP
    charts = "".join(_chart(curve, GAP + number * (HEIGHT + GAP)) for number, curve in enumerate(curves))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT + 16} {height}" font-family="sans-serif"'
    )
    return f'{head} font-size="12"><rect width="100%" height="100%" fill="white"/>{charts}</svg>\n'


def _chart(curve: Curve, top: float) -> str:
    end = max((minute for minute, _ in curve.points), default=1.0) or 1.0
    most = max((value for _, value in curve.points), default=1.0) or 1.0
    points = " ".join(
        f"{LEFT + WIDTH * minute / end:.1f},{top + HEIGHT * (1 - value / most):.1f}" for minute, value in curve.points
    )
    return (
        f'<text x="{LEFT}" y="{top - 8}" font-weight="bold">{escape(curve.title)}</text>'
        f'<text x="{LEFT - 6}" y="{top + 10}" text-anchor="end">{most:.4g}</text>'
        f'<text x="{LEFT - 6}" y="{top + HEIGHT}" text-anchor="end">0</text>'
        f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 14}" text-anchor="end">{end:.3g} min</text>'
        f'<rect x="{LEFT}" y="{top}" width="{WIDTH}" height="{HEIGHT}" fill="none" stroke="#ccc"/>'
        f'<polyline points="{points}" fill="none" stroke="#5865f2" stroke-width="1.5"/>'
    )
