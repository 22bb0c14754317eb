"""Running time of a bot, for what is deleted only after a day of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from db.engine import Database
from db.running_time import CONFIRMED_BY


async def run_for_a_day(database: Database, clock: Callable[[], datetime]) -> None:
    """Read the clock and let the seconds of a day pass; the caller sets the clock at the end."""
    await database.confirmed_now(clock)
    before = database.running.monotonic
    database.running.monotonic = lambda: before() + CONFIRMED_BY.total_seconds()
