"""Deleting pictures: the rows let go of their files, and a file that somebody else's picture has too is kept."""

from __future__ import annotations

from some_jobs import a_job, a_recipe, a_spec, ended

from db.engine import Database
from db.jobs import JobStore
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
