"""A ledger from before postings noted a cost table stays as it is, and can be continued."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from db.engine import parse_url
from db.migrate import migrate
from tests.db.test_migrate import run_alembic


def test_old_postings_stay_and_note_no_table(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    run_alembic(path, "downgrade", "0013")
    row = (1, 7, "2026-03-01 12:00:00.000000", "reserve", "old-0", 1, 22000, 0, "2026-03-01 12:00:00.000000")
    columns = "guild_id, member_key, window, kind, image_id, num_images, reserved, used, at"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"INSERT INTO ledger ({columns}) VALUES ({', '.join('?' * len(row))})", row)
        connection.commit()
    migrate(parse_url(f"sqlite:///{path}"))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"SELECT {columns}, cost_version FROM ledger").fetchall() == [(*row, None)]
