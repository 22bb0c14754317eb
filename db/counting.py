"""Counts what is written when it is committed, and only then: a write that is undone counts for nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy.orm import Session

Count = Callable[[], None]
_COUNTS = "counts"


def count_when_committed(session: Session, count: Count) -> None:
    """Call `count` once what this session writes is on disk. It may be called in another thread."""
    session.info.setdefault(_COUNTS, []).append(count)


def take_counts(session: Session) -> Iterable[Count]:
    """Return what is to be called after the commit."""
    counts: Iterable[Count] = session.info.get(_COUNTS, ())
    return counts
