"""Draws scenes: Pillow draws each thing's mask at four times the size, numpy fills in the colours."""

import math
import random
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from training.paintbox.palette import COLOURS, Rgb, shade
from training.paintbox.things import FACING, THINGS, Part, Points
from training.paintbox.world import Placed, Scene

Canvas = npt.NDArray[np.float32]
"""(side, side, 3), 0..255."""

_FINER: Final = 4
_PIXEL_ART_SIDE: Final = 32
_LINE_SHARE: Final = 0.042
"""Width of a line in the outline look, in shares of the side."""


def draw(scene: Scene, side_px: int = 128) -> Image.Image:
    """Return the picture of a scene, RGB and square; the same scene gives the same picture."""
    rng = random.Random(scene.seed)
    side = _PIXEL_ART_SIDE if scene.look == "pixel" else side_px
    canvas = _backdrop(scene.background, side, rng)
    for one in scene.placed:
        _lay(canvas, one, rng, is_outline=scene.look == "outline", is_hard=scene.look == "pixel")
    picture = Image.fromarray(canvas.round().clip(0, 255).astype(np.uint8))
    return picture if side == side_px else picture.resize((side_px, side_px), Image.Resampling.NEAREST)


def _outline_points(points: Points, one: Placed) -> Points:
    """Return a part's corners about the thing's centre, in shares of the side."""
    x, y = points[:, 0] * one.stretch, points[:, 1] / one.stretch
    if one.mirrored and one.thing in FACING:
        x = -x
    cos, sin = math.cos(one.tilt), math.sin(one.tilt)
    return np.stack([x * cos - y * sin, x * sin + y * cos], -1) * one.radius


def _lay(canvas: Canvas, one: Placed, rng: random.Random, *, is_outline: bool, is_hard: bool) -> None:
    """Paint one thing over the canvas, in place."""
    side = canvas.shape[0]
    colour = _jitter(COLOURS[one.colour], rng)
    box, body, detail = _masks(one, side, is_outline=is_outline)
    if is_hard:
        body, detail = (body > 0.5).astype(np.float32), (detail > 0.5).astype(np.float32)
    left, top, right, bottom = box
    area = canvas[top:bottom, left:right]
    layers = ((body, colour),) if is_outline else ((body, colour), (detail, shade(colour)))
    for mask, tone in layers:
        area += (np.array(tone, np.float32) - area) * mask[..., None]


def _masks(
    one: Placed, side: int, *, is_outline: bool
) -> tuple[tuple[int, int, int, int], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Return (left, top, right, bottom) in pixels, and the cover (0..1) of body and detail inside that box."""
    reach = math.ceil(one.radius * side * 1.25) + 3
    centre_x, centre_y = one.x * side, one.y * side
    left, top = max(0, int(centre_x) - reach), max(0, int(centre_y) - reach)
    right, bottom = min(side, int(centre_x) + reach), min(side, int(centre_y) + reach)
    size = ((right - left) * _FINER, (bottom - top) * _FINER)
    origin = np.array([centre_x - left, centre_y - top]) * _FINER
    parts = [
        (part, [tuple(p) for p in _outline_points(part.points, one) * (side * _FINER) + origin - 0.5])
        for part in THINGS[one.thing]
    ]
    paint = _trace if is_outline else _fill
    body, detail = paint(size, parts, max(2, round(_LINE_SHARE * side * _FINER)))
    return (left, top, right, bottom), _cover(body), _cover(detail)


def _cover(mask: Image.Image) -> npt.NDArray[np.float32]:
    return np.asarray(mask.reduce(_FINER), np.float32) / np.float32(255)


_Traced = list[tuple[Part, list[tuple[float, ...]]]]


def _fill(size: tuple[int, int], parts: _Traced, line: int) -> tuple[Image.Image, Image.Image]:
    body, detail = Image.new("L", size), Image.new("L", size)
    body_pen, detail_pen = ImageDraw.Draw(body), ImageDraw.Draw(detail)
    for part, corners in parts:
        if part.role == "detail":
            detail_pen.polygon(corners, fill=255)
        else:
            # What is painted later lies on top: petals cover the stem, a hole opens both.
            detail_pen.polygon(corners, fill=0)
            body_pen.polygon(corners, fill=0 if part.role == "hole" else 255)
    return body, detail


def _trace(size: tuple[int, int], parts: _Traced, line: int) -> tuple[Image.Image, Image.Image]:
    """Draw lines only: the outline of all solid parts together, then the details that lie inside, filled."""
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for part, corners in parts:
        if part.role != "limb":
            pen.line([*corners, *corners[:2]], fill=255, width=line, joint="curve")
    for part, corners in parts:
        if part.role == "body":
            pen.polygon(corners, fill=0)
    for part, corners in parts:
        if part.role == "hole":
            pen.line([*corners, *corners[:2]], fill=255, width=line // 2, joint="curve")
        if part.role in ("detail", "limb"):
            pen.polygon(corners, fill=255)
    return mask, Image.new("L", size)


def _jitter(colour: Rgb, rng: random.Random, spread: int = 6) -> Rgb:
    red, green, blue = (min(255, max(0, tone + rng.randint(-spread, spread))) for tone in colour)
    return red, green, blue


def _ramp(side: int, top: Rgb, bottom: Rgb, start: float = 0.0, end: float = 1.0) -> Canvas:
    """Return a vertical ramp of colour that runs from `start` to `end` (shares of the side)."""
    share = np.clip((np.linspace(0, 1, side, dtype=np.float32) - start) / max(end - start, 1e-6), 0, 1)
    rows = np.array(top, np.float32) * (1 - share[:, None]) + np.array(bottom, np.float32) * share[:, None]
    return np.repeat(rows[:, None, :], side, axis=1)


def _ground(canvas: Canvas, ground: Canvas, rng: random.Random, *, horizon: float, hills: float) -> None:
    """Lay `ground` below a horizon that rolls by `hills` (both shares of the side)."""
    side = canvas.shape[0]
    x = np.arange(side) / side
    line = horizon + hills * np.sin(math.tau * (x * rng.uniform(0.6, 1.4) + rng.random()))
    depth = np.arange(side)[:, None] + 0.5 - line[None, :] * side
    cover = np.clip(depth + 0.5, 0, 1).astype(np.float32)[..., None]
    canvas += (ground - canvas) * cover


def _dots(canvas: Canvas, rng: random.Random, count: int, colour: Rgb, *, lowest: float) -> None:
    side = canvas.shape[0]
    grid = np.arange(side) + 0.5
    for _ in range(count):
        x, y, radius = rng.random() * side, rng.random() * lowest * side, side * rng.uniform(0.008, 0.013)
        distance = np.hypot(grid[None, :] - x, grid[:, None] - y)
        cover = np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)[..., None]
        canvas += (np.array(colour, np.float32) - canvas) * cover


def _ovals(canvas: Canvas, rng: random.Random, spots: list[tuple[float, float, float, float]], tone: Rgb) -> None:
    side = canvas.shape[0]
    grid = (np.arange(side) + 0.5) / side
    for x, y, rx, ry in spots:
        distance = np.hypot((grid[None, :] - x) / rx, (grid[:, None] - y) / ry)
        cover = np.clip((1 - distance) * ry * side + 0.5, 0, 1).astype(np.float32)[..., None]
        canvas += (np.array(tone, np.float32) - canvas) * cover


def _clouds(canvas: Canvas, rng: random.Random) -> None:
    for _ in range(rng.randint(1, 3)):
        x, y = rng.random(), rng.uniform(0.05, 0.85)
        puffs = [(x + dx, y - dy, rx, rx * 0.55) for dx, dy, rx in [(-0.1, 0, 0.1), (0, 0.03, 0.13), (0.1, 0, 0.1)]]
        _ovals(canvas, rng, puffs, (238, 245, 252))


def _waves(canvas: Canvas, rng: random.Random, horizon: float, tone: Rgb) -> None:
    spots = [
        (rng.random(), rng.uniform(horizon + 0.06, 0.98), rng.uniform(0.06, 0.12), 0.012)
        for _ in range(rng.randint(4, 7))
    ]
    _ovals(canvas, rng, spots, tone)


def _backdrop(background: str, side: int, rng: random.Random) -> Canvas:
    """Return the canvas before anything stands on it."""
    if background in COLOURS:
        return np.full((side, side, 3), _jitter(COLOURS[background], rng, 5), np.float32)
    horizon = rng.uniform(0.42, 0.56)
    return _SCENES[background](side, horizon, rng)


def _sky(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (104, 176, 244), (186, 222, 250))
    _clouds(canvas, rng)
    return canvas


def _night(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (14, 18, 54), (44, 46, 104))
    _dots(canvas, rng, 14, (226, 226, 200), lowest=1.0)
    return canvas


def _sea(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (176, 218, 246), (220, 238, 248), 0, horizon)
    _ground(canvas, _ramp(side, (38, 124, 190), (18, 82, 148), horizon, 1), rng, horizon=horizon, hills=0.004)
    _waves(canvas, rng, horizon, (96, 172, 220))
    return canvas


def _sea_at_night(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (14, 18, 54), (52, 54, 112), 0, horizon)
    _dots(canvas, rng, 9, (226, 226, 200), lowest=horizon)
    _ground(canvas, _ramp(side, (18, 52, 98), (8, 28, 62), horizon, 1), rng, horizon=horizon, hills=0.004)
    _waves(canvas, rng, horizon, (54, 98, 148))
    return canvas


def _meadow(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (168, 214, 248), (222, 240, 250), 0, horizon)
    _ground(canvas, _ramp(side, (128, 196, 84), (84, 156, 60), horizon, 1), rng, horizon=horizon, hills=0.03)
    return canvas


def _desert(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (252, 224, 168), (254, 240, 208), 0, horizon)
    _ground(canvas, _ramp(side, (230, 184, 108), (204, 150, 78), horizon, 1), rng, horizon=horizon, hills=0.03)
    return canvas


def _snow(side: int, horizon: float, rng: random.Random) -> Canvas:
    canvas = _ramp(side, (150, 172, 204), (196, 210, 228), 0, horizon)
    _ground(canvas, _ramp(side, (250, 252, 255), (226, 234, 244), horizon, 1), rng, horizon=horizon, hills=0.03)
    return canvas


_SCENES: Final = {
    "sky": _sky,
    "night": _night,
    "sea": _sea,
    "meadow": _meadow,
    "desert": _desert,
    "snow": _snow,
    "sea at night": _sea_at_night,
}
