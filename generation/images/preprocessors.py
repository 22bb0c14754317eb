"""What a ControlNet sees of a picture: edges or lines, found without a network.

Whole numbers only, so the result is the same on every machine; a version never changes what it makes. Pictures and
results are (height, width, 3) uint8, lines white on black.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.int32]
Picture = NDArray[np.uint8]
_LOW, _HIGH = 100, 200
"""Thresholds of canny on |gx| + |gy|: what is above the second is an edge, and what is above the first and touches
one."""
_TANGENT = 13573
"""Of 22.5 degrees, in parts of 2^15."""
_LINE_RADIUS, _LEAST_LINE, _SEEN_LINE = 6, 16, 8


def preprocess(picture: Picture, name: str, version: int) -> Picture:
    """Return what a ControlNet is to see of a picture. The name and version are in `control.PREPROCESSORS`."""
    return _MADE[name, version](picture)


def _canny(picture: Picture) -> Picture:
    gx, gy = _slopes(picture)
    size = np.abs(gx) + np.abs(gy)
    return _white(_trace(size, _thin(size, gx, gy)) * np.int32(255))


def _slopes(picture: Picture) -> tuple[Grid, Grid]:
    """Return the gradient of the colour that changes most: red on blue may be one grey."""
    each = [_sobel(_blur(picture[..., colour].astype(np.int32))) for colour in range(3)]
    most = np.argmax([np.abs(gx) + np.abs(gy) for gx, gy in each], axis=0)[None]
    gx, gy = (np.take_along_axis(np.array(parts), most, 0)[0] for parts in zip(*each, strict=True))
    return gx, gy


def _thin(size: Grid, gx: Grid, gy: Grid) -> NDArray[np.bool_]:
    """Return where the gradient is the largest along its own direction, of four."""
    flat = np.abs(gy) << 15 < np.abs(gx) * _TANGENT
    steep = np.abs(gy) << 15 > np.abs(gx) * (_TANGENT + (1 << 16))
    falls = (gx ^ gy) >= 0
    around = np.pad(size, 1)
    height, width = size.shape

    def shift(dy: int, dx: int) -> Grid:
        moved: Grid = around[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        return moved

    pairs = {(0, 1): flat, (1, 0): steep, (1, 1): ~flat & ~steep & falls, (1, -1): ~flat & ~steep & ~falls}
    largest = np.zeros(size.shape, bool)
    for (dy, dx), here in pairs.items():
        largest |= here & (size > shift(-dy, -dx)) & (size >= shift(dy, dx))
    return largest


def _trace(size: Grid, thin: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the strong edges, and the weak ones that are joined to them."""
    weak = np.pad(thin & (size > _LOW), 1)
    edges = np.pad(thin & (size > _HIGH), 1)
    row = edges.shape[1]
    around = np.array([dy * row + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)])
    flat_weak, flat_edges = weak.ravel(), edges.ravel()
    front = np.flatnonzero(flat_edges)
    while front.size:
        near = np.unique((front[:, None] + around).ravel())
        front = near[flat_weak[near] & ~flat_edges[near]]
        flat_edges[front] = True
    return flat_edges.reshape(edges.shape)[1:-1, 1:-1]


def _softedge(picture: Picture) -> Picture:
    """Return the slopes of brightness: broad where the picture is soft. Not what a trained network (HED) finds."""
    gx, gy = _slopes(picture)
    size = _blur(np.abs(gx) + np.abs(gy))
    high = max(64, int(np.sort(size, axis=None)[size.size * 98 // 100]))
    return _white(np.minimum(255, size * 255 // high))


def _lineart(picture: Picture) -> Picture:
    """Return what is darker than its surroundings, as the “standard lineart” of ControlNet's extensions."""
    whole = picture.astype(np.int32)
    depth = np.min([_box(whole[..., colour]) - whole[..., colour] for colour in range(3)], axis=0).clip(0, 255)
    seen = np.sort(depth[depth > _SEEN_LINE])
    usual = max(_LEAST_LINE, int(seen[seen.size // 2]) if seen.size else 0)
    return _white(np.minimum(255, depth * 127 // usual))


def _invert(picture: Picture) -> Picture:
    return 255 - picture


def _blur(grey: Grid) -> Grid:
    """Blur one colour by the binomial weights 1 4 6 4 1, both ways."""
    for axis in (0, 1):
        parts = np.pad(grey, [(2, 2) if axis == each else (0, 0) for each in (0, 1)], mode="edge")
        length = grey.shape[axis]
        moved = (np.take(parts, range(by, by + length), axis) * weight for by, weight in enumerate((1, 4, 6, 4, 1)))
        grey = (sum(moved, np.zeros_like(grey)) + 8) // 16
    return grey


def _box(grey: Grid) -> Grid:
    """Blur by three means of a square, which is nearly a Gaussian."""
    side = 2 * _LINE_RADIUS + 1
    for axis in (0, 1) * 3:
        pad = [(_LINE_RADIUS + 1, _LINE_RADIUS) if axis == each else (0, 0) for each in (0, 1)]
        sums = np.cumsum(np.pad(grey, pad, mode="edge"), axis, dtype=np.int64)
        length = grey.shape[axis]
        ahead, behind = (np.take(sums, range(start, start + length), axis) for start in (side, 0))
        grey = ((ahead - behind + side // 2) // side).astype(np.int32)
    return grey


def _sobel(grey: Grid) -> tuple[Grid, Grid]:
    around = np.pad(grey, 1, mode="edge")
    rows = around[:-2] + 2 * around[1:-1] + around[2:]
    columns = around[:, :-2] + 2 * around[:, 1:-1] + around[:, 2:]
    return rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2]


def _white(values: Grid) -> Picture:
    """Return values from 0 to 255 as a picture in grey."""
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


_MADE: Mapping[tuple[str, int], Callable[[Picture], Picture]] = {
    ("none", 1): lambda picture: picture,
    ("canny", 1): _canny,
    ("lineart", 1): _lineart,
    ("softedge", 1): _softedge,
    ("invert", 1): _invert,
}
