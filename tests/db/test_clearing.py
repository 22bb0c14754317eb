"""The log of a SQLite file is emptied after an erasure, and keeps no one waiting meanwhile."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from db.engine import Database
from db.stores.jobs import JobStore
from tests.db.some_jobs import a_job


async def test_writes_go_on_while_a_backup_reads_what_is_to_be_cleared(database: Database, tmp_path: Path) -> None:
    store = JobStore(database)
    await store.accept(a_job())
    with closing(sqlite3.connect(tmp_path / "atelier.db", isolation_level=None)) as backup:
        backup.execute("BEGIN")
        backup.execute("SELECT count(*) FROM jobs").fetchone()
        await store.accept(a_job())
        clearing = asyncio.create_task(database.clear_deleted())
        for _ in range(5):
            await asyncio.sleep(0.1)
            await store.accept(a_job())
            assert not clearing.done()
    await clearing
    assert (tmp_path / "atelier.db-wal").stat().st_size == 0
    await store.accept(a_job())
