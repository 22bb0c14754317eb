"""The content of a picture: frozen scenes, how they are sampled, and which are held out for evaluation.

A fifth of the colour x thing x background combinations is held out by a hash of their names, so that it stays the
same fifth in every run and on every machine, and the scores are for pictures that no training step ever met.
"""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from training.paintbox.palette import COLOURS
from training.paintbox.things import THINGS

Look = Literal["flat", "outline", "pixel"]
Size = Literal["small", "medium", "large"]
Relation = Literal["left", "right", "above", "below"]

LOOKS: Final[tuple[Look, ...]] = ("flat", "outline", "pixel")
SCENES: Final = ("sky", "night", "sea", "meadow", "desert", "snow", "sea at night")
BACKGROUNDS: Final = (*COLOURS, *SCENES)

_LOST: Final = {
    "sky": {"white", "cyan", "blue"},
    "night": {"black", "blue", "purple"},
    "sea": {"blue", "cyan", "white"},
    "meadow": {"green", "white"},
    "desert": {"yellow", "orange", "white"},
    "snow": {"white", "gray", "cyan"},
    "sea at night": {"black", "blue", "purple"},
}
"""Colours that can hardly be seen in a scene, so no picture teaches them there."""


@dataclass(frozen=True)
class Placed:
    """One thing on the canvas: centre and radius in shares of the side, tilt in radians."""

    thing: str
    colour: str
    x: float
    y: float
    radius: float
    tilt: float = 0.0
    mirrored: bool = False
    stretch: float = 1.0


@dataclass(frozen=True)
class Scene:
    """A whole picture in words and numbers; `seed` settles what is left to chance (waves, clouds, small stars)."""

    placed: tuple[Placed, ...]
    background: str
    look: Look = "flat"
    size: Size = "medium"
    relation: Relation | None = None
    seed: int = 0


def is_visible(colour: str, background: str) -> bool:
    """Return whether a thing of this colour can be seen at all on this background."""
    return colour != background and colour not in _LOST.get(background, ())


def is_held_out(colour: str, thing: str, background: str) -> bool:
    """Return whether the combination belongs to the fifth that training never sees."""
    digest = hashlib.sha256(f"{colour}/{thing}/{background}".encode()).digest()
    return digest[0] % 5 == 0


def is_training(scene: Scene) -> bool:
    """Return whether every thing of the scene may be shown in training."""
    return not any(is_held_out(one.colour, one.thing, scene.background) for one in scene.placed)


def _tilt(rng: random.Random, thing: str) -> float:
    return rng.uniform(-0.16, 0.16) if thing not in ("boat", "house", "car") else rng.uniform(-0.05, 0.05)


def _place(rng: random.Random, thing: str, colour: str, spot: tuple[float, float, float]) -> Placed:
    x, y, radius = spot
    return Placed(
        thing,
        colour,
        x=x + rng.uniform(-0.02, 0.02),
        y=y + rng.uniform(-0.02, 0.02),
        radius=radius * rng.uniform(0.95, 1.05),
        tilt=_tilt(rng, thing),
        mirrored=rng.random() < 0.5,
        stretch=rng.uniform(0.93, 1.07),
    )


_RADIUS: Final = {"small": (0.14, 0.18), "medium": (0.22, 0.3), "large": (0.34, 0.42)}


def single(rng: random.Random, thing: str, colour: str, background: str, *, size: Size, look: Look) -> Scene:
    """Return one thing, somewhere about the middle, wholly inside the canvas."""
    radius = rng.uniform(*_RADIUS[size])
    free = min(0.5 - radius * 1.1, 0.16)
    spot = (0.5 + rng.uniform(-free, free), 0.5 + rng.uniform(-free, free), radius)
    placed = (_place(rng, thing, colour, spot),)
    return Scene(placed, background, look, size, seed=rng.getrandbits(32))


def simple(rng: random.Random) -> Scene:
    """Return one flat thing of middling size near the middle, mostly on a plain background: learnt first."""
    background = rng.choice(tuple(COLOURS)) if rng.random() < 0.7 else rng.choice(SCENES)
    thing, colour = rng.choice(tuple(THINGS)), _choose_colour(rng, background)
    spot = (0.5 + rng.uniform(-0.04, 0.04), 0.5 + rng.uniform(-0.04, 0.04), rng.uniform(0.27, 0.31))
    return Scene((_place(rng, thing, colour, spot),), background, seed=rng.getrandbits(32))


def _spots(rng: random.Random, count: int, radius: float) -> list[tuple[float, float, float]]:
    """Return places for two or three things that never touch: a row, a stair or a triangle."""
    if count == 2:
        gap, drop = rng.uniform(radius * 1.15, 0.27), rng.uniform(-0.12, 0.12)
        spots = [(0.5 - gap, 0.5 + drop), (0.5 + gap, 0.5 - drop)]
    elif rng.random() < 0.5:
        drop = rng.choice((-1, 0, 1)) * rng.uniform(0, 0.14)
        spots = [(0.19, 0.5 - drop), (0.5, 0.5), (0.81, 0.5 + drop)]
        radius = min(radius, 0.122)
    else:
        flip = rng.choice((-1, 1))
        spots = [(0.27, 0.5 + flip * 0.22), (0.73, 0.5 + flip * 0.22), (0.5, 0.5 - flip * 0.22)]
    return [(x, y, radius) for x, y in spots]


def several(
    rng: random.Random, thing: str, colour: str, background: str, *, count: int, size: Size, look: Look
) -> Scene:
    """Return two or three of the same thing, apart from each other; none is `large`, which would not fit."""
    radius = rng.uniform(0.11, 0.135) if size == "small" else rng.uniform(0.165, 0.195)
    spots = _spots(rng, count, radius)
    placed = tuple(_place(rng, thing, colour, spot) for spot in spots)
    return Scene(placed, background, look, "small" if size == "small" else "medium", seed=rng.getrandbits(32))


_OFFSETS: Final[dict[Relation, tuple[int, int]]] = {
    "left": (-1, 0),
    "right": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}


def pair(
    rng: random.Random,
    first: tuple[str, str],
    second: tuple[str, str],
    background: str,
    *,
    relation: Relation,
    look: Look,
) -> Scene:
    """Return two (thing, colour) pairs, the first standing in `relation` to the second."""
    dx, dy = _OFFSETS[relation]
    gap, slip = rng.uniform(0.225, 0.25), rng.uniform(-0.08, 0.08)
    radius = rng.uniform(0.17, 0.2)
    ends = []
    for sign, (thing, colour) in ((1, first), (-1, second)):
        x = 0.5 + sign * (dx * gap + dy * slip)
        y = 0.5 + sign * (dy * gap + dx * slip)
        ends.append(_place(rng, thing, colour, (x, y, radius)))
    return Scene(tuple(ends), background, look, "medium", relation, seed=rng.getrandbits(32))


def _choose_colour(rng: random.Random, background: str) -> str:
    return rng.choice([colour for colour in COLOURS if is_visible(colour, background)])


def sample(rng: random.Random, *, things: Sequence[str] = tuple(THINGS)) -> Scene:
    """Return a random scene, held-out ones included: half hold one thing, a quarter two or three, a quarter a pair."""
    background = rng.choice(tuple(COLOURS)) if rng.random() < 0.6 else rng.choice(SCENES)
    look = rng.choices(LOOKS, (70, 15, 15))[0]
    thing, colour = rng.choice(tuple(things)), _choose_colour(rng, background)
    kind = rng.random()
    if kind < 0.5:
        size: Size = rng.choices(("small", "medium", "large"), (20, 50, 30))[0]
        return single(rng, thing, colour, background, size=size, look=look)
    if kind < 0.75:
        size = "small" if rng.random() < 0.3 else "medium"
        return several(rng, thing, colour, background, count=rng.choice((2, 3)), size=size, look=look)
    other = rng.choice([name for name in THINGS if name != thing])
    relation: Relation = rng.choice(("left", "right", "above", "below"))
    second = (other, _choose_colour(rng, background))
    return pair(rng, (thing, colour), second, background, relation=relation, look=look)


def sample_training(rng: random.Random, *, kind: Callable[[random.Random], Scene] = sample) -> Scene:
    """Return a random scene, as `kind` draws them, never a held-out one."""
    while True:
        scene = kind(rng)
        if is_training(scene):
            return scene
