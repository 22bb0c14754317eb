"""Where something in the models folder was fetched from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was fetched from, and what is said of it there. All is empty for a local file."""

    source: str = ""
    revision: str = ""
    card: Path | None = None
    page: str = ""
    licence: str = ""
    base_model: str = ""
    trigger_words: tuple[str, ...] = ()


LOCAL = Origin()
