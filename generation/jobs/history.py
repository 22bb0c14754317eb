"""Filters of the history, and a picture's ancestors and children."""

from __future__ import annotations

from dataclasses import dataclass

from generation.jobs.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFilter:
    """What to show of a history: jobs whose prompt holds all these words; what one asked for oneself, or favourites."""

    words: str = ""
    favourites: bool = False

    def matches(self, prompt: str) -> bool:
        """Return whether every word is in the prompt, in any case."""
        folded = prompt.casefold()
        return all(word in folded for word in self.words.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Relatives:
    """Ancestors nearest first, children newest first. Of each ancestor, `index` is the picture that was taken."""

    parents: tuple[tuple[Job, int], ...] = ()
    children: tuple[Job, ...] = ()
