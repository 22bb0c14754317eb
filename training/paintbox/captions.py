"""Captions for scenes: each scene has many captions, and together they use the whole vocabulary of the model."""

import json
import random
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from training.paintbox.palette import COLOURS
from training.paintbox.things import THINGS
from training.paintbox.world import SCENES, Placed, Scene

_PLACES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "sky": ("in the sky", "in a blue sky", "in the sky with clouds"),
        "night": ("at night", "in the night", "in the night sky"),
        "sea": ("on the sea", "over the sea", "at sea"),
        "meadow": ("in a meadow", "on a meadow", "in a green meadow"),
        "desert": ("in the desert", "in a desert"),
        "snow": ("in the snow", "on the snow", "in a snowy field"),
        "sea at night": ("over the sea at night", "on the sea at night", "at sea at night"),
    }
)
_PLAIN: Final = (
    "on a {} background",
    "on a {} background",
    "on a plain {} background",
    "on {}",
    "against a {} background",
    "with a {} background",
)
_LOOKS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "flat": ("", "", "", ", flat", ", flat colours"),
        "outline": (", outline", ", outline drawing", ", line drawing"),
        "pixel": (", pixel art", ", pixel art", ", pixels"),
    }
)
_RELATIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "left": ("left of", "to the left of"),
        "right": ("right of", "to the right of"),
        "above": ("above", "over"),
        "below": ("below", "under"),
    }
)
_SIZES: Final = {"small": ("small", "little", "tiny"), "medium": ("",), "large": ("large", "big", "huge")}
_COUNTS: Final = {1: "a", 2: "two", 3: "three"}
_LEADS: Final = ("", "", "", "", "a picture of ", "a drawing of ", "a painting of ")

_PLURALS: Final = {"fish": "fish", "cross": "crosses"}


def plural(thing: str) -> str:
    """Return the plural (`boat` -> `boats`); a few things have one of their own."""
    return _PLURALS.get(thing, f"{thing}s")


def _colour_word(rng: random.Random, colour: str) -> str:
    return "grey" if colour == "gray" and rng.random() < 0.3 else colour


def _noun_words(one: Placed, colour: str, *, count: int, size: str) -> str:
    noun = one.thing if count == 1 else plural(one.thing)
    return " ".join(part for part in (_COUNTS[count], size, colour, noun) if part)


def _subject(rng: random.Random, scene: Scene) -> str:
    colours = [_colour_word(rng, one.colour) for one in scene.placed]
    if scene.relation is not None:
        first, second = (
            _noun_words(one, colour, count=1, size="") for one, colour in zip(scene.placed, colours, strict=True)
        )
        return f"{first} {rng.choice(_RELATIONS[scene.relation])} {second}"
    size = rng.choice(_SIZES[scene.size])
    return _noun_words(scene.placed[0], colours[0], count=len(scene.placed), size=size)


def _where(rng: random.Random, background: str) -> str:
    if background in COLOURS:
        return rng.choice(_PLAIN).format(_colour_word(rng, background))
    return rng.choice(_PLACES[background])


def describe(scene: Scene, rng: random.Random) -> str:
    """Return a true sentence about the scene, e.g. "three small yellow stars over the sea at night, pixel art".

    One in four leaves something out (the colour, the place, all but a word or two), so that short prompts and
    negative prompts mean something too.
    """
    share = rng.random()
    if share < 0.08:
        return _tags(rng, scene)
    scene_said = _colourless(scene) if share < 0.16 else scene
    where = "" if 0.16 <= share < 0.24 else " " + _where(rng, scene.background)
    text = f"{rng.choice(_LEADS)}{_subject(rng, scene_said)}{where}{rng.choice(_LOOKS[scene.look])}"
    return _mend_articles(text)


def _colourless(scene: Scene) -> Scene:
    return replace(scene, placed=tuple(replace(one, colour="") for one in scene.placed))


def _tags(rng: random.Random, scene: Scene) -> str:
    """Return a word or two: `red`, `red star`, `star, blue background`."""
    one = rng.choice(scene.placed)
    colour = _colour_word(rng, one.colour)
    place = f"{scene.background} background" if scene.background in COLOURS else scene.background
    return rng.choice((colour, one.thing, f"{colour} {one.thing}", place, f"{colour} {one.thing}, {place}"))


def _mend_articles(text: str) -> str:
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def plainly(scene: Scene) -> str:
    """Return the scene in its most usual words, always the same: the prompt for evaluation."""
    count, (first, *others) = len(scene.placed), scene.placed
    if scene.relation is None:
        size = "" if scene.size == "medium" else scene.size
        subject = _noun_words(first, first.colour, count=count, size=size)
    else:
        nouns = [_noun_words(one, one.colour, count=1, size="") for one in (first, *others)]
        subject = f"{nouns[0]} {_RELATIONS[scene.relation][0]} {nouns[1]}"
    where = f"on a {scene.background} background" if scene.background in COLOURS else _PLACES[scene.background][0]
    look = {"pixel": ", pixel art", "outline": ", outline drawing"}.get(scene.look, "")
    return _mend_articles(f"{subject} {where}{look}")


def words() -> tuple[str, ...]:
    """Return every word that a caption can hold, sorted."""
    said = [*COLOURS, "grey", *THINGS, *map(plural, THINGS), "an", *_COUNTS.values(), *_LEADS, *_PLAIN]
    for table in (_PLACES, _LOOKS, _RELATIONS, _SIZES):
        said += [phrase for phrases in table.values() for phrase in phrases]
    text = " ".join(said).replace("{}", " ").replace(",", " ")
    return tuple(sorted(set(text.split())))


def write_words(path: Path) -> None:
    """Write what `generation.paintbox.vocabulary` reads: every known word, and some to suggest, by kind."""
    looks = ["flat", "outline drawing", "pixel art"]
    kinds = {"words": list(words()), "things": list(THINGS), "colours": list(COLOURS), "scenes": list(SCENES)}
    path.write_text(json.dumps(kinds | {"looks": looks}, indent=1) + "\n", encoding="utf-8")
