"""A database from before uploads were recorded: their owners, and the pictures made from them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

from db.engine import parse_url
from db.migrate import migrate
from tests.db.test_migrate import run_alembic

JOBS = [  # job, member, minute, parent, start, mask, cells, enlarged, file
    ("upload", 1, 1, None, "up", "mask", [], None, "f1"),
    ("reroll", 2, 2, None, "up", "mask", [], None, "f2"),
    ("enlarged", 2, 3, "upload-0", None, None, [], "f1", "f3"),
    ("again", 3, 4, "enlarged-0", "f3", None, [], None, "f4"),
    ("words", 1, 5, None, None, None, [], None, "f5"),
    ("region", 1, 6, "words-0", "f5", "drawn", [1], None, "f6"),
    ("own mask", 3, 7, "words-0", "f5", "mask 3", [], None, "f7"),
    ("of a deleted one", 3, 8, "gone-0", "deleted", None, [], None, "f8"),
    ("a big one", 3, 9, None, None, None, [], "big", "f9"),
]


def write(connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO members VALUES (?, ?)", [(key, key + 100) for key in (1, 2, 3)])
    for name, key, minute, parent, start, mask, cells, enlarged, file in JOBS:
        connection.execute(
            "INSERT INTO jobs (id, guild_id, member_key, request, created_at, parent) VALUES (?, 1, ?, '{}', ?, ?)",
            (name, key, f"2026-03-01 12:0{minute}:00.000000", parent),
        )
        begun = {"sha256": start, "mask_sha256": mask, "cells": cells} if start else None
        spec = {"start": begun, "upscale": {"sha256": enlarged, "factor": 2} if enlarged else None}
        connection.execute(
            "INSERT INTO images (id, job_id, position, spec, status, attempt, reserved, charged, file_sha256) "
            "VALUES (?, ?, 0, ?, 'done', 1, 1, 1, ?)",
            (f"{name}-0", name, json.dumps(spec), file),
        )


def test_the_migration_gives_uploads_to_their_first_user(tmp_path: Path) -> None:
    path = tmp_path / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    run_alembic(path, "downgrade", "0009")
    with closing(sqlite3.connect(path)) as connection:
        write(connection)
        connection.commit()
    run_alembic(path, "upgrade", "head")
    with closing(sqlite3.connect(path)) as connection:
        uploads = set(connection.execute("SELECT sha256, member_key FROM uploads"))
        made_of_them = {row[0] for row in connection.execute("SELECT id FROM jobs WHERE is_from_upload")}
    assert uploads == {("up", 1), ("mask", 1), ("mask 3", 3), ("big", 3)}
    assert made_of_them == {"upload", "reroll", "enlarged", "again", "own mask", "a big one"}
