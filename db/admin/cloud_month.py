"""Reads what a cloud worker cost in a month, beside a running bot."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.engine import URL

from db.integrity import require_usable_now
from db.readonly import ask, read_schema
from db.revisions import newest_revision


def read_committed(url: URL, now: datetime) -> int:
    """Return what is reserved and spent in the month of `now`, in millionths; 0 where the database has no such books
    yet. Blocks. Raise `ConfigurationError` if it cannot be read."""
    if read_schema(url, require=require_usable_now) != newest_revision():
        return 0
    asked = f"SELECT SUM(reserved + spent) FROM cloud_ledger WHERE month = '{now:%Y-%m}'"
    return ask(url, lambda run: int(next(iter(run(asked)))[0] or 0))
