"""Deleting pictures: the rows let go of their files, and a file that somebody else's picture has too is kept."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from some_jobs import GUILD, NOW, USER, a_job, a_recipe, a_spec, ended

from db import moderation
from db.engine import Database
from db.jobs import JobStore
from db.moderation import ModerationStore
from generation.job import Job, Outcome, Status
from generation.request import Upscale


async def finished(store: JobStore, files: list[str]) -> Job:
    job = a_job(count=len(files))
    await store.accept(job)
    for image, sha256 in zip(job.images, files, strict=True):
        attempt = await store.claim(image.id)
        assert attempt is not None
        outcome = Outcome(status=Status.DONE, charged=1, recipe=a_recipe(a_spec()), file_sha256=sha256)
        assert await store.settle(image.id, attempt, outcome)
    return job


async def test_files_are_let_go_unless_another_picture_is_the_same(database: Database) -> None:
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


async def test_a_purge_goes_in_parts_and_lets_others_write_in_between(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moderation, "_PURGED_AT_A_TIME", 2)
    store, moderators = JobStore(database), ModerationStore(database, clock=lambda: NOW)
    shared = "a" * 64
    jobs = [await finished(store, [shared, f"{number:064d}"]) for number in range(5)]
    elsewhere = a_job(guild=GUILD + 1)
    await store.accept(elsewhere)
    real, order = database.write, list[str]()

    async def write(work: Any) -> Any:
        order.append("purge" if isinstance(work, partial) else "another")
        if order == ["purge"]:
            others.append(asyncio.create_task(moderators.block(GUILD, USER, lasting=None)))
        return await real(work)

    others: list[asyncio.Task[Any]] = []
    monkeypatch.setattr(database, "write", write)
    number, gone = await moderators.purge(GUILD, USER)
    await asyncio.gather(*others)
    assert (number, gone) == (10, sorted([shared, *(f"{number:064d}" for number in range(5))]))
    assert order == ["purge", "another", "purge", "purge"]
    assert [image.file_sha256 for job in jobs for image in (await store.fetch_job(job.id)).images] == [None] * 10
    assert await moderators.purge(GUILD, USER) == (0, [])
