"""All that is kept of one person: counted, given to them, and erased."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.erase import erase_user
from db.members import find_key
from db.models import Base, ImageRow, JobRow, LedgerRow, MemberRow
from generation.ports import Clock

_KEYED = {"member_key", "by"}


class PersonalStore:
    """Of the person whose Discord id is given, and of no one else."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def count(self, user_id: int) -> tuple[int, int]:
        """Jobs, and pictures on disk."""

        def read(session: Session) -> tuple[int, int]:
            mine = JobRow.member_key == find_key(session, user_id)
            jobs = session.scalar(select(func.count()).select_from(JobRow).where(mine)) or 0
            there = select(func.count()).select_from(ImageRow).join(JobRow, JobRow.id == ImageRow.job_id)
            return jobs, session.scalar(there.where(mine, ImageRow.file_sha256.is_not(None))) or 0

        return await self._database.read(read)

    async def export(self, user_id: int) -> bytes:
        """Every row that leads to the person, as JSON: by table, then by column."""
        rows = await self._database.read(lambda session: _rows(session, user_id))
        return msgspec.json.format(msgspec.json.encode({"discord_user_id": user_id, "tables": rows}), indent=1)

    async def erase(self, user_id: int) -> frozenset[str]:
        """Forget the person (see `db.erase`). The SHA-256 of the files nothing needs any more."""
        return await erase_user(self._database, user_id, clock=self._clock)


def _rows(session: Session, user_id: int) -> dict[str, list[dict[str, Any]]]:
    key = find_key(session, user_id)
    if key is None:
        return {}
    job_ids = select(JobRow.id).where(JobRow.member_key == key)
    found: dict[str, list[dict[str, Any]]] = {}
    for table in Base.metadata.sorted_tables:
        if table.name == MemberRow.__tablename__:
            continue
        columns = table.columns
        if named := [columns[name] for name in _KEYED if name in columns]:
            mine = named[0] == key
        elif "job_id" in columns:
            mine = columns["job_id"].in_(job_ids)
        elif "image_id" in columns and table.name != LedgerRow.__tablename__:
            mine = columns["image_id"].in_(select(ImageRow.id).where(ImageRow.job_id.in_(job_ids)))
        else:
            continue
        rows = session.execute(select(table).where(mine)).mappings()
        hidden = _KEYED | {"token"}
        found[table.name] = [{name: row[name] for name in row if name not in hidden} for row in rows]
    return {name: rows for name, rows in found.items() if rows}
