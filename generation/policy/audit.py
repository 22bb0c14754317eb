"""Who changed what in a guild's settings and rules: stored, and posted in its log channel if it has one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime

from generation.translatable import Phrase

MAX_CHANGE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change. `user_id` is None once its member was erased."""

    guild_id: int
    user_id: int | None
    at: datetime
    text: str


def write_change(text: str) -> str:
    """Return a change as one line to store: a `Phrase` with its parts, so that it can be read in any language."""
    if (
        isinstance(text, Phrase)
        and len(packed := json.dumps(text.packed(), ensure_ascii=False)) <= 2 * MAX_CHANGE_CHARS
    ):
        return packed
    return text if len(text) <= MAX_CHANGE_CHARS else text[: MAX_CHANGE_CHARS - 1] + "…"


def read_change(line: str) -> str:
    """Return what `write_change` wrote; the line as it stands if it is not one of those."""
    if not line.startswith('["'):
        return line
    try:
        return Phrase.unpacked(json.loads(line))
    except Exception:  # a template that its values do not fill fails in as many ways as `str.format` has
        return line
