"""Finds syntax of other tools in a prompt that is not read here. It is painted as plain words, and reported."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from generation.requests.decimals import read_decimal
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
_ESCAPED = re.compile(r"\\[()\[\]{}|_\\]")
"""A back-slash that makes a sign plain where weights are read."""


def list_prompt_notes(*specs: ImageSpec, literal: Collection[str] = ()) -> tuple[Phrase, ...]:
    """Return notes for the writer of these prompts: what was not read, and weights out of bounds.

    `literal`: the models that read a prompt as it stands, without weights and chunks.
    """
    spec = specs[0]
    if spec.syntax_version == FIRST_SYNTAX:
        return ()
    notes = []
    if spec.negative and not spec.is_guided:
        notes.append(
            Phrase(
                "The negative prompt has no effect: it needs a guidance above 1, and this request has {guidance}.",
                guidance=spec.guidance,
            )
        )
    notes += _note_weights([each for each in specs if each.model not in literal])
    notes += _note_literals([each for each in specs if each.model in literal])
    return tuple(notes)


def _note_weights(specs: Sequence[ImageSpec]) -> Iterator[Phrase]:
    texts = _list_texts(specs)
    readings = [read_weights(text, syntax) for text, syntax in texts]
    unread = [each for reading in readings for each in reading.unread]
    unread += [each for text, syntax in texts for each in _find_foreign(text, syntax)]
    if unread:
        yield Phrase(
            "Not read here, so painted as plain words: {parts}. A weight is a number, as in (word:0.8).",
            parts=_named(unread),
        )
    if unbounded := [each for reading in readings for each in reading.unbounded]:
        yield Phrase(
            "Weights end at {low} and {high}, and these go beyond: {parts}.",
            low=MIN_WEIGHT,
            high=MAX_WEIGHT,
            parts=_named(unbounded),
        )


def _note_literals(specs: Sequence[ImageSpec]) -> Iterator[Phrase]:
    if parts := [each for text, syntax in _list_texts(specs) for each in _find_literal(text, syntax)]:
        yield Phrase(
            "“{model}” has no weights of words, so these are painted as they stand: {parts}.",
            model="”, “".join(dict.fromkeys(each.model for each in specs)),
            parts=_named(parts),
        )


def _list_texts(specs: Sequence[ImageSpec]) -> list[tuple[str, int]]:
    """Return what is read of the prompts at one time or another, each once, with its syntax."""
    return list(
        dict.fromkeys(
            (text, each.syntax_version)
            for each in specs
            for words in each.readings or [(each.prompt, each.negative)]
            for text in words
        )
    )


def _find_literal(text: str, syntax: int) -> Iterator[str]:
    """Yield what would mean more than words elsewhere. A single pair of round brackets is how people write, too."""
    reading = read_weights(text, syntax)
    weighed = [each for each in reading.weighed if each.startswith(("[", "((")) or _has_number(each)]
    yield from (each for each in weighed if not any(each != other and each in other for other in weighed))
    yield from reading.unread
    yield from _find_foreign(text, syntax, read=())
    yield from _ESCAPED.findall(text)


def _has_number(bracket: str) -> bool:
    _, *tail = re.split("[:\uff1a]", bracket[1:-1])
    return bool(tail) and read_decimal(tail[-1]) is not None


def _find_foreign(text: str, syntax: int, read: Sequence[str] = ("BREAK",)) -> Iterator[str]:
    if syntax < FIRST_SYNTAX_WITH_BREAK:
        read = ()
    return (match[0].strip() for match in _SYNTAX.finditer(text) if match[0] not in read)


def _named(parts: list[str]) -> str:
    """Return the first few, each once, cut where they are long."""
    each = list(dict.fromkeys(parts))
    shown = [part if len(part) <= MAX_NAMED_CHARS else part[: MAX_NAMED_CHARS - 1] + "…" for part in each[:MAX_NAMED]]
    return ", ".join([f"“{part}”" for part in shown] + ["…"] * (len(each) > MAX_NAMED))
