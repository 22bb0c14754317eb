"""Which words the built-in model was taught. Imports no torch: the bot asks this before it queues anything."""

import re
from functools import cache
from typing import Final

from generation.paintbox.captions import words
from generation.paintbox.palette import COLOURS
from generation.paintbox.things import THINGS
from generation.paintbox.world import SCENES

_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")


@cache
def known_words() -> frozenset[str]:
    """Every word of the training captions, lower-cased."""
    return frozenset(words())


def unknown_words(prompt: str) -> tuple[str, ...]:
    """The words of a prompt that the model was never taught, lower-cased, once each, in order of appearance.

    Weights and brackets as in `(word:1.2)` are no words; `red-haired` counts as one.
    """
    text = re.sub(r":\s*-?\d+(?:\.\d+)?(?=\s*\))", " ", prompt.lower())
    return tuple(dict.fromkeys(word for word in _WORD.findall(text) if word not in known_words()))


def some_known_words() -> dict[str, tuple[str, ...]]:
    """What to suggest instead, by kind: things, colours, scenes, looks."""
    return {
        "things": tuple(THINGS),
        "colours": tuple(COLOURS),
        "scenes": SCENES,
        "looks": ("flat", "outline drawing", "pixel art"),
    }
