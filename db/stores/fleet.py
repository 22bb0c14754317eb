"""Which bot of this database the members of its fleet listen to."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import FleetEpochRow


class FleetStore:
    """`clock_s` counts seconds since the epoch of Unix."""

    def __init__(self, database: Database, *, clock_s: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock_s = clock_s

    async def begin_epoch(self) -> int:
        """Return a number above those of all bots that had this database before, and store it.

        It is at least the time of day, so that a database restored from a backup does not fall behind what members
        have heard.
        """

        def write(session: Session) -> int:
            last = session.scalar(select(FleetEpochRow.epoch)) or 0
            epoch = max(last + 1, int(self._clock_s()))
            session.execute(delete(FleetEpochRow))
            session.execute(insert(FleetEpochRow).values(id=1, epoch=epoch))
            return epoch

        return await self._database.write(write)
