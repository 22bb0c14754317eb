"""Deleting pictures removes their references; a file that another member's picture also has is kept."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from db import batches
from db.engine import Database
from db.stores import moderation
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from generation.jobs.job import Job, Outcome, Status
from generation.requests.edits import Upscale
from tests.db.kinds import on_both_long
from tests.db.some_jobs import GUILD, NOW, USER, a_job, a_recipe, a_spec, ended

pytestmark = on_both_long


async def finished(store: JobStore, files: list[str], *, at: datetime = NOW) -> Job:
    job = a_job(count=len(files), at=at)
    await store.accept(job)
    for image, sha256 in zip(job.images, files, strict=True):
        attempt = await store.claim(image.id)
        assert attempt is not None
        outcome = Outcome(status=Status.DONE, charged=1, recipe=a_recipe(a_spec()), file_sha256=sha256)
        assert await store.settle(image.id, attempt, outcome)
    return job


async def test_files_are_deleted_unless_another_picture_has_them(database: Database) -> None:
    store = JobStore(database)
    shared, own = "a" * 64, "b" * 64
    first = await finished(store, [shared, own, own])
    second = await finished(store, [shared])
    assert await store.forget_pictures(first.id) == [own]
    assert {image.file_sha256 for image in (await store.fetch_job(first.id)).images} == {None}
    assert (await store.fetch_job(first.id)).images[0].recipe is not None
    assert await store.forget_pictures(first.id) == []
    enlarging = a_job(spec=a_spec(upscale=Upscale(sha256=shared)))
    await store.accept(enlarging)
    assert await store.forget_pictures(second.id) == []
    await store.settle(enlarging.images[0].id, 0, ended(Status.CANCELLED))
    second = await finished(store, [shared])
    assert await store.forget_pictures(second.id) == [shared]


async def test_a_purge_runs_in_parts_between_other_writes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "JOBS_AT_ONCE", 2)
    monkeypatch.setattr(moderation, "JOBS_AT_ONCE", 2)
    store, moderators = JobStore(database), ModerationStore(database, clock=lambda: NOW)
    shared = "a" * 64
    times = [NOW + timedelta(minutes=number) for number in range(5)]
    jobs = [await finished(store, [shared, f"{number:064d}"], at=at) for number, at in enumerate(times)]
    purging = moderators.purge(GUILD, USER, by=USER, said=str)
    taken = [await anext(purging)]
    await store.accept(a_job(guild=GUILD + 1))
    taken += [each async for each in purging]
    own = [f"{number:064d}" for number in range(5)]
    assert taken == [(4, own[:2]), (4, own[2:4]), (2, sorted([own[4], shared]))]
    assert [image.file_sha256 for job in jobs for image in (await store.fetch_job(job.id)).images] == [None] * 10
    assert [each async for each in moderators.purge(GUILD, USER, by=USER, said=str)][-1] == (0, [])
