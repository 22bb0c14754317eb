"""The vocabulary of the built-in model. Imports no torch: the bot uses it before it queues a request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

WORDS_FILE: Final = Path(__file__).resolve().parent / "words.json"
"""Written by `training.paintbox.train` beside the weights: the tokenizer's own list also holds pieces of words."""
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*|\d+")


@cache
def _read_words() -> Mapping[str, tuple[str, ...]]:
    return {kind: tuple(words) for kind, words in json.loads(WORDS_FILE.read_text(encoding="utf-8")).items()}


@cache
def list_known_words() -> frozenset[str]:
    """Return every word of the training captions, lower-cased."""
    return frozenset(_read_words()["words"])


def find_unknown_words(prompt: str) -> tuple[str, ...]:
    """Return the words of a prompt that the model does not know, lower-cased, once each, in order of appearance.

    Weights and brackets as in `(word:1.2)` are no words; `red-haired` counts as one.
    """
    text = re.sub(r":\s*-?\d+(?:\.\d+)?(?=\s*\))", " ", prompt.lower())
    return tuple(dict.fromkeys(word for word in _WORD.findall(text) if word not in list_known_words()))


def suggest_known_words() -> dict[str, tuple[str, ...]]:
    """Return words to suggest instead, by kind: things, colours, scenes, looks."""
    return {kind: words for kind, words in _read_words().items() if kind != "words"}
