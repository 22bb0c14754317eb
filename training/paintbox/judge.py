"""Reads a picture without any trained model: the background, and each thing's name, colour and place.

Background: the colours down the picture's edges against the same edges of drawn backdrops. Things: what differs from
the backdrop, cut into connected pieces. Colour: votes of a piece's pixels. Name: the best overlap of the piece's
blurred ink and silhouette with drawn templates. All of it is measured on pictures with known answers in the tests.
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.paintbox.draw import draw
from training.paintbox.palette import COLOURS, shade
from training.paintbox.pieces import fill_holes, grow, label
from training.paintbox.things import FACING, THINGS
from training.paintbox.world import BACKGROUNDS, Look, Placed, Scene

Mask = npt.NDArray[np.bool_]
Pixels = npt.NDArray[np.float32]

_SIDE: Final = 128
_EDGE: Final = 7
_INK_DISTANCE: Final = 52.0
_LEAST_AREA: Final = 60
_GREATEST_AREA: Final = int(0.6 * _SIDE * _SIDE)
_GRID: Final = 24


@dataclass(frozen=True)
class Seen:
    """One piece of a picture: centre in pixels of a 128-pixel side, area in such pixels."""

    thing: str
    colour: str
    x: float
    y: float
    area: int


@dataclass(frozen=True)
class Reading:
    """All that the judge saw, the largest piece first."""

    background: str
    seen: tuple[Seen, ...]


def read(picture: Image.Image) -> Reading:
    """Read one picture of any size."""
    pixels = _pixels(picture)
    background = read_background(pixels)
    ink = find_ink(pixels, background)
    pieces = sorted(_pieces(ink), key=lambda piece: -int(piece.sum()))
    return Reading(background, tuple(_look_at(pixels, piece) for piece in pieces))


def _pixels(picture: Image.Image) -> Pixels:
    small = picture.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


def _edge_profile(pixels: Pixels) -> Pixels:
    """Return (side, 3): the median colour of each row along the left and right edges."""
    edges = np.concatenate([pixels[:, :_EDGE], pixels[:, -_EDGE:]], axis=1)
    profile: Pixels = np.median(edges, axis=1).astype(np.float32)
    return profile


@cache
def _backdrops(background: str) -> tuple[Pixels, ...]:
    """Return a few drawn backdrops with nothing on them; one is enough for a plain colour."""
    count = 1 if background in COLOURS else 10
    return tuple(_pixels(draw(Scene((), background, seed=seed))) for seed in range(count))


def read_background(pixels: Pixels) -> str:
    """Return the backdrop whose edges are nearest, row by row."""
    mine = _edge_profile(pixels)

    def distance(background: str) -> float:
        theirs = (_edge_profile(backdrop) for backdrop in _backdrops(background))
        return min(float(np.abs(mine - profile).mean()) for profile in theirs)

    return min(BACKGROUNDS, key=distance)


def find_ink(pixels: Pixels, background: str) -> Mask:
    """Return the pixels of no backdrop: unlike their row's edge colour and all of the scene's colours."""
    ink: Mask = np.linalg.norm(pixels - _edge_profile(pixels)[:, None], axis=-1) > _INK_DISTANCE
    if background in COLOURS:
        return ink
    away = np.full(ink.shape, np.inf, np.float32)
    for tone in _tones(background):
        away = np.minimum(away, np.linalg.norm(pixels - tone, axis=-1))
    ink &= away > _INK_DISTANCE * 0.8
    # A soft horizon leaves a thin seam of mixed tones; nothing of a thing is as thin.
    return ink & grow(~grow(~ink))


@cache
def _tones(background: str) -> Pixels:
    """Return the colours a scene is made of, coarsely; what is as rare as a small star is left out."""
    every = np.concatenate([backdrop.reshape(-1, 3) for backdrop in _backdrops(background)])
    coarse, counts = np.unique((every // 24).astype(np.int64), axis=0, return_counts=True)
    return (coarse[counts > 600] * 24 + 12).astype(np.float32)


def _pieces(ink: Mask) -> list[Mask]:
    """Return the connected pieces big enough to be things; gaps of two pixels or less do not part them."""
    marks, count = label(grow(ink))
    pieces = _without_inner([(marks == index) & ink for index in range(1, count + 1)])
    largest = max((int(piece.sum()) for piece in pieces), default=0)
    return [piece for piece in pieces if max(_LEAST_AREA, 0.12 * largest) <= piece.sum() <= _GREATEST_AREA]


def _without_inner(pieces: list[Mask]) -> list[Mask]:
    """Add pieces that lie in another's hole to it: the inner line of a ring, a window."""
    kept: list[Mask] = []
    for piece in sorted(pieces, key=lambda each: -int(fill_holes(each).sum())):
        around = next((index for index, outer in enumerate(kept) if not (piece & ~fill_holes(outer)).any()), None)
        if around is None:
            kept.append(piece)
        else:
            kept[around] = kept[around] | piece
    return kept


def _look_at(pixels: Pixels, piece: Mask) -> Seen:
    rows, columns = np.nonzero(piece)
    return Seen(
        thing=name_thing(piece),
        colour=name_colour(pixels[piece]),
        x=float(columns.min() + columns.max()) / 2,
        y=float(rows.min() + rows.max()) / 2,
        area=int(piece.sum()),
    )


def name_colour(pixels: Pixels) -> str:
    """Return the colour that explains most pixels (n, 3): its own tone in full, its shade by half."""
    tones = np.array(list(COLOURS.values()), np.float32)
    shades = np.array([shade(tone) for tone in COLOURS.values()], np.float32)
    to_tones = np.linalg.norm(pixels[:, None] - tones, axis=-1)
    to_shades = np.linalg.norm(pixels[:, None] - shades, axis=-1)
    nearest = np.bincount(to_tones.argmin(1), minlength=len(tones))
    votes = nearest + 0.5 * ((to_shades < 40) & (to_tones.min(1, keepdims=True) > 20)).sum(0)
    own = nearest >= 0.25 * len(pixels)
    return list(COLOURS)[int(np.where(own, votes, -1).argmax()) if own.any() else int(nearest.argmax())]


def name_thing(piece: Mask) -> str:
    """Return the thing whose templates fit the piece best."""
    names, table = _templates()
    return names[int((table @ _sketch(piece)).argmax())]


def _sketch(piece: Mask) -> npt.NDArray[np.float32]:
    """Return a piece as a vector of two unit halves: ink and silhouette, on a coarse grid about its middle."""
    rows, columns = np.nonzero(piece)
    reach = max(np.ptp(rows), np.ptp(columns)) / 2 + 1
    y, x = (rows.min() + rows.max() + 1) / 2, (columns.min() + columns.max() + 1) / 2
    box = (x - reach, y - reach, x + reach, y + reach)
    halves = []
    for mask in (piece, fill_holes(piece)):
        image = Image.fromarray((mask * 255).astype(np.uint8)).crop(tuple(map(round, box)))
        grid = np.asarray(image.resize((_GRID, _GRID), Image.Resampling.BILINEAR), np.float32).ravel()
        grid = grid - grid.mean()
        halves.append(grid / (np.linalg.norm(grid) + 1e-6))
    return np.concatenate(halves)


@cache
def _templates() -> tuple[tuple[str, ...], npt.NDArray[np.float32]]:
    """Return names and sketches of every thing: both looks, three tilts, two sizes, both ways round."""
    names: list[str] = []
    sketches = []
    looks: tuple[Look, ...] = ("flat", "outline")
    for thing in THINGS:
        for look in looks:
            for tilt in (-0.12, 0.0, 0.12):
                for radius in (0.16, 0.34):
                    for mirrored in (False, True) if thing in FACING else (False,):
                        one = Placed(thing, "black", 0.5, 0.5, radius, tilt, mirrored)
                        ink = find_ink(_pixels(draw(Scene((one,), "white", look))), "white")
                        names.append(thing)
                        sketches.append(_sketch(ink))
    return tuple(names), np.stack(sketches)


def related(reading: Reading, first: Placed, second: Placed) -> tuple[float, float] | None:
    """Return (x, y) in pixels from the piece coloured like `first` to `second`'s; None if one is missing."""
    by_colour = {seen.colour: seen for seen in reversed(reading.seen)}
    if first.colour not in by_colour or second.colour not in by_colour:
        return None
    mine, other = by_colour[first.colour], by_colour[second.colour]
    return mine.x - other.x, mine.y - other.y
