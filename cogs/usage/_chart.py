"""A small chart of days as a picture: people would rather look than read. Pure: numbers in, a PNG out."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw

from cogs.i18n.gettext import format_count
from generation.images.fonts import load_font, make_drawable

_SCALE = 2
"""Drawn at twice the size, so that it is sharp on every screen."""
_WIDTH, _HEIGHT = 520, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 18, 18, 46, 34
_GAP = 8
_PAPER, _GRID, _TEXT, _QUIET = "#1e1f26", "#31333d", "#f2f3f7", "#9a9db0"
_BAR, _TODAY, _LIMIT = "#6c5ce7", "#a99bff", "#f0a35e"


def draw_days(
    title: str, values: Sequence[int], labels: Sequence[str], *, limit: int | None = None, limit_label: str = ""
) -> bytes:
    """Bars, the last one (today) bright; `limit` as a line across, with its label. One label a bar. PNG bytes.

    A phone shows it at about half its size, so letters are as large as their places allow.
    """
    picture = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), _PAPER)
    pen = _Pen(picture)
    top = _round_up(max([*values, limit or 0, 1]))
    pen.text((_LEFT, 12), title, 18, _TEXT)
    pen.line(_scale_y(0, top), _GRID)
    pen.line(_scale_y(top, top), _GRID)
    if max(values[:2]) < 0.8 * top:  # else their own numbers stand there
        pen.text((_LEFT, _scale_y(top, top) - 17), format_count(top), 13, _QUIET)
    size = 15 if max(values) < 1000 else 11
    step = (_WIDTH - _LEFT - _RIGHT + _GAP) / len(values)
    for index, (value, label) in enumerate(zip(values, labels, strict=True)):
        x = _LEFT + index * step
        is_today = index == len(values) - 1
        pen.bar(x, x + step - _GAP, _scale_y(value, top), _TODAY if is_today else _BAR)
        pen.text((x + (step - _GAP) / 2, _HEIGHT - 26), label, 15, _TEXT if is_today else _QUIET, anchor="ma")
        if value:
            pen.text(
                (x + (step - _GAP) / 2, _scale_y(value, top) - size - 5), format_count(value), size, _TEXT, anchor="ma"
            )
    if limit is not None:
        pen.line(_scale_y(limit, top), _LIMIT)
        pen.text((_WIDTH - _RIGHT, 14), limit_label, 15, _LIMIT, anchor="ra")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _scale_y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM - 20) * value / top


def _round_up(largest: int) -> int:
    """Return the next 1, 2 or 5 times a power of ten."""
    power = 1
    while True:
        for factor in (1, 2, 5):
            if factor * power >= largest:
                return factor * power
        power *= 10


class _Pen:
    """Draws in plain pixels; the picture has `_SCALE` times as many."""

    def __init__(self, picture: Image.Image) -> None:
        self._draw = ImageDraw.Draw(picture)

    def text(self, at: tuple[float, float], text: str, size: int, colour: str, *, anchor: str = "la") -> None:
        font = load_font(size * _SCALE)
        self._draw.text((at[0] * _SCALE, at[1] * _SCALE), make_drawable(text), colour, font, anchor=anchor)

    def line(self, y: float, colour: str) -> None:
        self._draw.line((_LEFT * _SCALE, y * _SCALE, (_WIDTH - _RIGHT) * _SCALE, y * _SCALE), colour, _SCALE)

    def bar(self, left: float, right: float, top: float, colour: str) -> None:
        floor = _scale_y(0, 1)
        if floor - top < 1:
            return
        box = tuple(round(each * _SCALE) for each in (left, top, right, floor))
        self._draw.rounded_rectangle(box, 4 * _SCALE, colour, corners=(True, True, False, False))
