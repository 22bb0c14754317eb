"""The aspect ratios that are offered by name."""

from __future__ import annotations

from collections.abc import Mapping

RATIOS: Mapping[str, float] = {"1:1": 1.0, "3:2": 1.5, "2:3": 1 / 1.5, "16:9": 16 / 9, "9:16": 9 / 16}


def list_shapes(native_px: int, *, grid: int) -> dict[str, tuple[int, int]]:
    """Return width and height of each, of about the area of a square of `native_px`, in multiples of `grid`."""
    return {name: _fit(native_px, ratio, grid=grid) for name, ratio in RATIOS.items()}


def _fit(native_px: int, ratio: float, *, grid: int) -> tuple[int, int]:
    width = round(native_px * ratio**0.5 / grid) * grid
    height = round(native_px / ratio**0.5 / grid) * grid
    return width, height
