"""Finds syntax of other tools in a prompt that is not read here. It is painted as plain words, and reported."""

from __future__ import annotations

import re
from collections.abc import Iterator

from generation.requests.prompt_weights import (
    FIRST_SYNTAX,
    FIRST_SYNTAX_WITH_BREAK,
    MAX_WEIGHT,
    MIN_WEIGHT,
    read_weights,
)
from generation.requests.spec import ImageSpec
from generation.translatable import Phrase

MAX_NAMED = 6
MAX_NAMED_CHARS = 40
_SYNTAX = re.compile(
    r"""
      \b(?:AND|BREAK)\b                                       # the web UI: parts of a prompt
    | (?<!\\)\{[^{}]*\}                                              # choices of dynamic prompts, emphasis of NovelAI
    | (?<!\\)__[\w/*.-]{1,64}__                                      # wildcards
    | [<\uff1c](?!a:\w{1,32}:\d{1,20}>)\s?\w{1,32}\s?[:\uff1a](?:[^<>\uff1c\uff1e]*[>\uff1e]|\S*)  # tags, no emoji
    | \uff08[^\uff08\uff09]*[:\uff1a][\s\d.,+-]{1,20}\uff09   # full-width brackets
    | \bembedding:\S{1,64}                                    # ComfyUI
    | \.(?:and|blend|swap)\(                                  # Compel, of InvokeAI
    | (?<=[)\]])(?:[+-]{1,8}|\d[\d.]{0,8})(?=[\s,.]|$)        # Compel: weights behind brackets
    | (?<!\S)(?:--|\u2014)[a-z]{1,16}\b(?:\s\d[\d.:]{0,8})?   # Midjourney: options
    | ::-?[\d.]{0,8}                                          # Midjourney: weights
    """,
    re.VERBOSE,
)


def list_prompt_notes(*specs: ImageSpec) -> tuple[Phrase, ...]:
    """Return notes for the writer of these prompts, which differ in words alone: what was not read, and weights out of
    bounds."""
    spec = specs[0]
    if spec.syntax_version == FIRST_SYNTAX:
        return ()
    texts = list(
        dict.fromkeys(
            text for each in specs for words in each.wordings or [(each.prompt, each.negative)] for text in words
        )
    )
    readings = [read_weights(text, spec.syntax_version) for text in texts]
    unread = [each for reading in readings for each in reading.unread]
    unread += [each for text in texts for each in _find_foreign(text, spec.syntax_version)]
    unbounded = [each for reading in readings for each in reading.unbounded]
    notes = []
    if spec.negative and not spec.is_guided:
        notes.append(
            Phrase(
                "The negative prompt has no effect: it needs a guidance above 1, and this request has {guidance}.",
                guidance=spec.guidance,
            )
        )
    if unread:
        notes.append(
            Phrase(
                "Not read here, so painted as plain words: {parts}. A weight is a number, as in (word:0.8).",
                parts=_named(unread),
            )
        )
    if unbounded:
        notes.append(
            Phrase(
                "Weights end at {low} and {high}, and these go beyond: {parts}.",
                low=MIN_WEIGHT,
                high=MAX_WEIGHT,
                parts=_named(unbounded),
            )
        )
    return tuple(notes)


def _find_foreign(text: str, syntax: int) -> Iterator[str]:
    read = ("BREAK",) if syntax >= FIRST_SYNTAX_WITH_BREAK else ()
    return (match[0].strip() for match in _SYNTAX.finditer(text) if match[0] not in read)


def _named(parts: list[str]) -> str:
    """Return the first few, each once, cut where they are long."""
    each = list(dict.fromkeys(parts))
    shown = [part if len(part) <= MAX_NAMED_CHARS else part[: MAX_NAMED_CHARS - 1] + "…" for part in each[:MAX_NAMED]]
    return ", ".join([f"“{part}”" for part in shown] + ["…"] * (len(each) > MAX_NAMED))
