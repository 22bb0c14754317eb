"""The service with its real neighbours: SQLite, a worker process (with the light engine), files on disk."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from db.admin.erasure import erase_user
from db.engine import Database, parse_url
from db.migrate import migrate
from db.stores.jobs import JobStore
from generation.errors import ConfigurationError, DrainingError, QueueFullError, UnknownModelError
from generation.images.codec import decode_png
from generation.images.metadata import read_recipe
from generation.jobs.job import Job, Status
from generation.models.catalog import Catalog
from generation.owner import Owner
from generation.requests.cost import image_cost
from generation.requests.edits import StartImage
from generation.scheduling.fair_queue import FairQueue
from tests.generation.service_harness import ADA, BO, Place, opened
from tests.patience import PATIENCE_S
from tests.stored import fetch_jobs


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("template") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path, template: bytes) -> Path:
    (tmp_path / "atelier.db").write_bytes(template)
    return tmp_path


@pytest.fixture
async def place(folder: Path) -> AsyncIterator[Place]:
    async with opened(folder) as place:
        yield place


async def test_a_request_becomes_a_signed_file_and_a_charge(place: Place) -> None:
    job = await place.finished(await place.submit(count=3))
    assert [image.status for image in job.images] == [Status.DONE] * 3
    assert [image.spec.seed for image in job.images] == [7, 8, 9]
    stored = await place.store.fetch_job(job.id)
    assert stored == job, "what is in memory is what is on disk"
    for image in job.images:
        assert image.charged == image_cost(image.spec)
        assert image.file_sha256 is not None
        png = place.generation.files.get(image.file_sha256)
        assert png is not None
        assert read_recipe(png) == image.recipe
        assert decode_png(png)[1] == (64, 64)


async def test_the_job_is_on_disk_before_the_user_is_told(place: Place) -> None:
    job = await place.submit("endless-image")
    assert (await place.store.fetch_job(job.id)).owner == ADA


async def test_progress_and_queue_position_can_be_watched(folder: Path) -> None:
    async with opened(folder) as place:
        hogs = [await place.submit("endless-image", count=4) for _ in range(4)]
        await place.until(lambda: all(place.is_running(job) for job in hogs[:1]))
        waiting = await place.submit(count=2)
        ahead = await place.submit()
        view = place.generation.view(waiting.id)
        assert view is not None
        assert view.images_ahead == 0
        assert view.progress == 0
        last = place.generation.view(ahead.id)
        assert last is not None
        assert last.images_ahead == 2
        assert [each.job.id for each in place.generation.list_guild_jobs(ADA.guild_id)] == [
            *(job.id for job in hogs),
            waiting.id,
            ahead.id,
        ]
        assert place.generation.list_guild_jobs(BO.guild_id) == []


async def test_a_light_guild_starts_although_the_worker_is_full(place: Place) -> None:
    hogs = [await place.submit("endless-image", count=4) for _ in range(8)]
    await place.until(lambda: place.generation.num_running >= 16)
    guest = await place.submit(owner=BO)
    await place.until(lambda: guest.id in place.changes)
    view = place.generation.view(guest.id)
    assert view is not None
    assert view.job.status is Status.RUNNING
    for job in [*hogs, guest]:
        await place.generation.cancel(job.id)


async def test_a_waiting_job_is_cancelled_at_no_cost(folder: Path) -> None:
    async with opened(folder) as place:
        for _ in range(4):
            await place.submit("endless-image", count=4)
        await place.until(lambda: place.generation.num_running == 16)
        job = await place.submit(count=2)
        assert await place.generation.cancel(job.id)
        ended = await place.finished(job)
        assert [(image.status, image.charged) for image in ended.images] == [(Status.CANCELLED, 0)] * 2
        assert not await place.generation.cancel(job.id), "there is nothing left to stop"


async def test_a_running_job_pays_the_steps_it_took(place: Place) -> None:
    job = await place.submit("endless-image", steps=50)
    await place.until(lambda: place.is_running(job))
    assert await place.generation.cancel(job.id)
    image = (await place.finished(job)).images[0]
    assert image.status is Status.CANCELLED
    assert 0 < image.charged < image.reserved


@pytest.mark.parametrize(
    ("prompt", "status", "error"),
    [("break-image", Status.FAILED, "Failed"), ("withhold-image", Status.WITHHELD, "Withheld")],
)
async def test_a_withheld_picture_is_refunded_with_the_reason(
    place: Place, prompt: str, status: Status, error: str
) -> None:
    bad, good = await place.submit(prompt), await place.submit()
    image = (await place.finished(bad)).images[0]
    assert (image.status, image.charged, image.error, image.file_sha256) == (status, 0, error, None)
    assert (await place.finished(good)).status is Status.DONE, "the next request works"


async def test_a_killed_worker_loses_no_picture(place: Place) -> None:
    jobs = [await place.submit("endless-image" if n == 0 else "a star", owner=(ADA, BO)[n % 2]) for n in range(4)]
    await place.until(lambda: place.is_running(jobs[0]))
    assert place.worker.pid is not None
    os.kill(place.worker.pid, signal.SIGKILL)
    ended = [await place.finished(job) for job in jobs[1:]]
    assert [job.status for job in ended] == [Status.DONE] * 3
    await place.generation.cancel(jobs[0].id)
    assert (await place.finished(jobs[0])).status is Status.CANCELLED


async def test_a_poison_image_fails_alone(place: Place) -> None:
    poison = await place.submit("crash-worker", count=1)
    innocents = [await place.submit("a star", owner=BO, seed=n) for n in range(5)]
    image = (await place.finished(poison)).images[0]
    assert (image.status, image.error, image.charged) == (Status.FAILED, "WorkerLost", 0)
    assert [(await place.finished(job)).status for job in innocents] == [Status.DONE] * 5


async def test_a_cancelled_suspect_delays_no_other(place: Place) -> None:
    """It was to be tried alone: nothing else is begun meanwhile. It ends before it ever reaches the worker."""
    job = await place.submit("endless-image")
    for losses in (0, 1):
        await place.until(lambda losses=losses: losses_of(place, job) == losses and place.is_running(job))
        if losses == 1:
            claimed, may_claim = hold_claims(place)
        assert place.worker.pid is not None
        os.kill(place.worker.pid, signal.SIGKILL)
    async with asyncio.timeout(PATIENCE_S):
        await claimed.wait()
    await place.generation.cancel(job.id)
    may_claim.set()
    assert (await place.finished(job)).status is Status.CANCELLED
    assert (await place.finished(await place.submit("a star", owner=BO))).status is Status.DONE


def losses_of(place: Place, job: Job) -> int:
    live_job = place.generation._jobs.get(job.id)
    assert live_job is not None
    return live_job.images[job.images[0].id].losses


def hold_claims(place: Place) -> tuple[asyncio.Event, asyncio.Event]:
    """Let each claim report that it has begun, and wait until it may continue."""
    begun, may_go_on, claim = asyncio.Event(), asyncio.Event(), place.store.claim

    async def slowly(image_id: str) -> int | None:
        begun.set()
        await may_go_on.wait()
        return await claim(image_id)

    place.store.claim = slowly  # type: ignore[method-assign]
    return begun, may_go_on


async def test_an_engine_that_cannot_be_built_ends_the_service(folder: Path) -> None:
    """Waiting callers fail at once: nothing is tried again, and the job stays in the queue for a later start."""
    unfit = Catalog((replace(Catalog.open("paintbox").default, name="unfit"),))
    async with opened(folder, catalog=unfit) as place:
        job = await place.submit(model="unfit")
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(ConfigurationError, match="The model “unfit” cannot be loaded"):
                assert place.running is not None
                await asyncio.shield(place.running)
    async with await Database.open(f"sqlite:///{folder / 'atelier.db'}", folder) as database:
        assert [each.id for each in await JobStore(database).fetch_unfinished()] == [job.id]


async def test_a_file_that_cannot_be_read_ends_one_picture_and_not_the_bot(place: Place) -> None:
    """Names that are none, and a disk that fails, at whichever start: the rest is painted."""
    (place.folder / "pictures" / "ab" / f"{'ab' * 32}.png").mkdir(parents=True)
    for sha256 in ("../../etc/passwd", "ab" * 32):
        job = await place.submit(start=StartImage(sha256=sha256, strength=0.5))
        image = (await place.finished(job)).images[0]
        assert (image.status, image.error, image.charged) == (Status.FAILED, "Failed", 0)
    assert (await place.finished(await place.submit())).status is Status.DONE


async def test_an_erased_waiting_job_is_no_longer_active(folder: Path) -> None:
    async with opened(folder) as place:
        place.generation.pause(True)
        job = await place.submit()
        async for _ in erase_user(place.store._database, ADA.user_id):
            pass
        place.generation.pause(False)
        assert (await place.finished(job)).status is Status.CANCELLED
        assert place.generation.list_live_ids() == []


async def test_a_full_disk_does_not_fill_the_memory(folder: Path) -> None:
    (folder / "pictures").write_text("in the way")
    async with opened(folder, queue=FairQueue(max_per_user=1000)) as place:
        jobs = [await place.submit(count=4, seed=4 * n, steps=1) for n in range(60)]
        most = place.worker.num_slots * 5
        await place.until(lambda: place.generation._dispatcher._num_settling >= place.worker.num_slots * 4)
        held = place.generation._dispatcher._num_settling + len(place.generation._dispatcher.at_worker)
        assert held <= most < 240, "what is finished and what the worker still has"
        (folder / "pictures").unlink()
        assert {(await place.finished(job)).status for job in jobs} == {Status.DONE}


async def test_a_missing_start_image_fails_and_is_refunded(place: Place) -> None:
    job = await place.submit(start=StartImage(sha256="0" * 64, strength=0.5))
    image = (await place.finished(job)).images[0]
    assert (image.status, image.error, image.charged) == (Status.FAILED, "SourceLost", 0)


async def test_refusals_leave_nothing_behind(folder: Path) -> None:
    async with opened(folder, queue=FairQueue(max_per_user=4)) as place:
        with pytest.raises(UnknownModelError, match="Available: paintbox"):
            await place.submit(model="nope")
        for started in (4, 8, 12, 16):
            await place.submit("endless-image", count=4)
            await place.until(lambda want=started: place.generation.num_running == want)
        await place.submit(count=4)
        with pytest.raises(QueueFullError, match="At most 4"):
            await place.submit()
        history = await fetch_jobs(place.store, ADA)
        assert len(history) == 5


async def test_many_at_once_cannot_slip_past_the_cap(folder: Path) -> None:
    async with opened(folder, queue=FairQueue(max_per_user=6)) as place:
        answers = await asyncio.gather(*(place.submit("endless-image") for _ in range(60)), return_exceptions=True)
        accepted = [answer for answer in answers if isinstance(answer, Job)]
        assert all(isinstance(answer, Job | QueueFullError) for answer in answers)
        assert 6 <= len(accepted) <= 6 + 16, "the cap, and at most what started meanwhile"


async def test_after_a_crash_every_job_ends_once(folder: Path) -> None:
    async with opened(folder) as place:
        hog = await place.submit("endless-image", count=3)  # leaves the light engine one image a step
        jobs = [await place.submit(owner=owner, seed=n) for n in range(5) for owner in (ADA, BO)]
        ended_before = await asyncio.gather(*(place.finished(job) for job in jobs[:4]))
    async with opened(folder) as place:
        await place.generation.cancel(hog.id)
        ended = [await place.finished(job) for job in jobs]
        assert [job.status for job in ended] == [Status.DONE] * 10
        assert ended[:4] == ended_before, "what had ended was not done again"


async def test_draining_accepts_nothing_and_finishes_running_images(place: Place) -> None:
    job = await place.submit(steps=100)
    await place.until(lambda: place.is_running(job))
    await place.generation.drain(grace_s=20)
    assert (await place.finished(job)).status is Status.DONE
    with pytest.raises(DrainingError):
        await place.submit()


async def test_a_restart_keeps_the_shares(folder: Path) -> None:
    async with opened(folder) as place:
        for owner in (ADA, BO, ADA):
            await place.finished(await place.submit(owner=owner))
        await place.generation.drain(grace_s=1)
        before = await place.store.fetch_counters()
    assert before[ADA.guild_id] > 0
    async with opened(folder) as place:
        await place.finished(await place.submit(owner=Owner(3, 300)))
        await place.generation.drain(grace_s=1)
        after = await place.store.fetch_counters()
    assert after[ADA.guild_id] - after[BO.guild_id] == before[ADA.guild_id] - before[BO.guild_id]
    assert after[3] >= before[ADA.guild_id], "a newcomer starts level with those who were served before the restart"


async def test_there_is_no_estimate_while_the_worker_is_paused_or_lost(folder: Path) -> None:
    async with opened(folder) as place:
        await place.finished(await place.submit(count=4))
        hog = await place.submit("endless-image")
        await place.until(lambda: place.is_running(hog))
        place.generation.pause(True)
        waits, changes = await place.submit(), len(place.changes)
        assert (view := place.generation.view(waits.id)) is not None and view.wait_s is None
        assert (view := place.generation.view(hog.id)) is not None and view.wait_s is not None, "this one goes on"
        place.generation.pause(False)
        assert {hog.id, waits.id} <= set(place.changes[changes:]), "their messages say so"
        assert (view := place.generation.view(waits.id)) is not None and view.wait_s is not None
        assert place.worker.pid is not None
        os.kill(place.worker.pid, signal.SIGKILL)
        await place.until(lambda: not place.generation.is_ready)
        assert all(view.wait_s is None for view in place.generation.list_guild_jobs(ADA.guild_id))
        await place.generation.cancel(hog.id)
        await place.finished(waits)
