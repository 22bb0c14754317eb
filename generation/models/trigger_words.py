"""The words that a LoRA wants in a prompt, where its file says so."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from generation.characters import make_line

_PHRASE = "modelspec.trigger_phrase"
_TAGS = "ss_tag_frequency"
"""kohya's count of the tags in the captions of its training pictures, by folder."""
_MAX_WORDS = 8
_MAX_CHARS = 80
_ALWAYS = 0.5
"""A tag of that part of the pictures, or more, is told: rarer ones describe single pictures."""


def read_trigger_words(metadata: Mapping[str, str] | None) -> tuple[str, ...]:
    """Return a LoRA's trigger words from the metadata in its header, the most frequent first; none if it has none."""
    metadata = metadata or {}
    if phrase := metadata.get(_PHRASE, "").strip():
        return tuple(filter(None, (make_line(word, most=_MAX_CHARS) for word in phrase.split(","))))[:_MAX_WORDS]
    try:
        folders = json.loads(metadata.get(_TAGS, "{}"))
        counts = Counter[str]()
        for tags in folders.values():
            counts.update(
                {make_line(tag, most=_MAX_CHARS): count for tag, count in tags.items() if isinstance(count, int)}
            )
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ()
    most = max(counts.values(), default=0)
    return tuple(tag for tag, count in counts.most_common(_MAX_WORDS) if tag and count >= _ALWAYS * most)
