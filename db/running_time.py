"""The time to delete by: what a wrong clock says for a while deletes nothing.

Every look at the clock is stored beside the seconds that bots have run on this database, which restarts add to. A
machine that starts with its clock months ahead, or whose clock jumps, is believed only after a day of running in which
every reading agreed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from db.models import ClockReadingRow

CONFIRMED_BY = timedelta(days=1)
"""Running time over which every reading must agree."""
EARLIEST = datetime(2025, 1, 1, tzinfo=UTC)
"""A clock that shows less was not set when it was read."""
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything ended: by this time, nothing is over."""


class RunningTime:
    """Seconds that bots have run on one database, all runs together, and what the clock said in them.

    A suspended machine does not run. `monotonic` counts seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.monotonic = monotonic
        self._started_s = monotonic()
        self._before_s: float | None = None

    def confirm(self, session: Session, *, at: datetime) -> datetime:
        """Store that the clock says `at`. Return the latest time that all readings over `CONFIRMED_BY` agree has come.

        `NEVER` until there are as many. On a machine that is always on it is the time of day; after a jump ahead, or a
        long rest, it stays behind for a day of running.
        """
        now_s, running_s = self._now_s(session), ClockReadingRow.running_s
        session.execute(insert(ClockReadingRow).values(running_s=now_s, at=at))
        enough_s = now_s - CONFIRMED_BY.total_seconds()
        first_s = session.scalar(select(func.max(running_s)).where(running_s <= enough_s))
        if first_s is None:
            return NEVER
        session.execute(delete(ClockReadingRow).where(running_s < first_s))
        readings = session.execute(select(running_s, ClockReadingRow.at)).all()
        return min(then + min(timedelta(seconds=now_s - then_s), CONFIRMED_BY) for then_s, then in readings)

    def _now_s(self, session: Session) -> float:
        if self._before_s is None:
            self._before_s = session.scalar(select(func.max(ClockReadingRow.running_s))) or 0.0
        return self._before_s + self.monotonic() - self._started_s
