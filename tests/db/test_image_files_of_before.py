"""A database of revision 0014 with data: the references to files survive an upgrade, a downgrade and an upgrade."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from db.engine import Database, parse_url
from db.migrate import migrate
from db.stores.jobs import JobStore
from tests.db.test_migrate import run_alembic, schema

IMAGES = [  # image, start, mask, enlarged, result
    ("words-0", None, None, None, "f1"),
    ("words-1", None, None, None, None),
    ("begun-0", "up", "mask", None, "f2"),
    ("begun-1", "up", None, None, "f1"),
    ("again-0", None, None, "f1", None),
    ("again-1", "", None, "f2", "f3"),
]
REQUESTS = {"words": "{}", "begun": "no JSON", "again": json.dumps({"replay": {"original": "f1"}})}
EXPECTED = {
    ("words-0", "result", "f1"),
    ("begun-0", "result", "f2"),
    ("begun-0", "start", "up"),
    ("begun-0", "mask", "mask"),
    ("begun-1", "result", "f1"),
    ("begun-1", "start", "up"),
    ("again-0", "upscale", "f1"),
    ("again-0", "original", "f1"),
    ("again-1", "upscale", "f2"),
    ("again-1", "original", "f1"),
    ("again-1", "result", "f3"),
}


def write(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("INSERT INTO members VALUES (1, 101)")
        for job, request in REQUESTS.items():
            values = (job, request, "2026-03-01 12:00:00.000000")
            connection.execute(
                "INSERT INTO jobs (id, guild_id, member_key, request, created_at) VALUES (?, 1, 1, ?, ?)", values
            )
        for image, start, mask, enlarged, result in IMAGES:
            begun = {"sha256": start, "mask_sha256": mask} if start is not None else None
            spec = {"start": begun, "upscale": {"sha256": enlarged, "factor": 2} if enlarged else None}
            job, _, position = image.partition("-")
            connection.execute(
                "INSERT INTO images (id, job_id, position, spec, status, attempt, reserved, charged, file_sha256) "
                "VALUES (?, ?, ?, ?, 'done', 1, 1, 1, ?)",
                (image, job, int(position), json.dumps(spec), result),
            )
        connection.commit()


def rows(file: Path, table: str) -> list[dict[str, object]]:
    with closing(sqlite3.connect(file)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2")]


def references(file: Path) -> set[tuple[object, ...]]:
    return {(row["image_id"], row["role"], row["sha256"]) for row in rows(file, "image_files")}


def indexes(file: Path) -> list[tuple[str, ...]]:
    return [each for each in schema(file) if each[0] == "index"]


def test_references_survive_an_upgrade_a_downgrade_and_an_upgrade(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    url = parse_url(f"sqlite:///{path}")
    migrate(url, revision="0014")
    write(path)
    images, jobs, of_before = rows(path, "images"), rows(path, "jobs"), indexes(path)
    migrate(url)
    assert references(path) == EXPECTED
    of_now = schema(path)
    run_alembic(path, "downgrade", "0014")
    assert (rows(path, "images"), rows(path, "jobs"), indexes(path)) == (images, jobs, of_before)
    migrate(url)
    assert references(path) == EXPECTED
    assert schema(path) == of_now


async def test_pictures_of_before_are_read_with_their_files(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"), revision="0014")
    write(path)
    async with await Database.open(f"sqlite:///{path}", tmp_path) as database:
        store = JobStore(database)
        found = [image.file_sha256 for image in (await store.fetch_job("begun")).images]
        assert found == ["f2", "f1"]
        assert await store.forget_pictures("begun") == ["f2", "mask", "up"], "f1 is another picture's, too"
    assert {each for each in references(path) if each[0] == "begun-1"} == {("begun-1", "start", "up")}
