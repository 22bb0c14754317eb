"""A picture made from one whose file is missing is the same picture: that file comes back to the byte."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.light_engine import PACED_ENGINE
from generation.errors import SourceLostError
from generation.jobs.derive import enlarge, reproduce, vary, zoom_out
from generation.jobs.derive_edits import inpaint_cells
from generation.jobs.job import Image, Job, Status
from generation.requests.cost import image_cost
from generation.requests.edits import StartImage
from generation.requests.spec import GenerationRequest
from tests.generation.service_harness import ADA, Place, opened
from tests.stored import fetch_usage


async def made(place: Place, request: GenerationRequest) -> Image:
    job = await place.finished(await place.generation.submit(request, ADA))
    assert job.status is Status.DONE, job.images[0].error
    return job.images[0]


async def first_of(place: Place, **changes: object) -> Image:
    job: Job = await place.finished(await place.submit(**changes))  # type: ignore[arg-type]
    return job.images[0]


def forget_files(folder: Path) -> None:
    shutil.rmtree(folder / "pictures")


async def test_an_enlargement_and_a_variation_of_a_lost_picture_are_the_same(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        first = await first_of(place)
        turned = await made(place, vary(first, seed=3))
        requests = [enlarge(first), zoom_out(first, 1.5, seed=5), vary(turned, seed=4)]
        before = [await made(place, request) for request in requests]
        forget_files(tmp_path)
        after = [await made(place, request) for request in requests]
    assert [image.file_sha256 for image in after] == [image.file_sha256 for image in before]
    assert all(image.file_sha256 for image in before)


async def test_several_generations_come_back_one_after_another(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        zoomed = await made(place, zoom_out(await first_of(place), 1.5, seed=5))
        painted = await made(
            place, inpaint_cells(zoomed, (0, 4), place.generation.catalog.default, prompt="a blue square", seed=6)
        )
        large = await made(place, enlarge(painted))
        assert large.recipe is not None
        forget_files(tmp_path)
        again = await made(place, reproduce(large.recipe))
        assert again.file_sha256 == large.file_sha256
        for lost in (zoomed, painted):
            assert lost.file_sha256 is not None
            assert place.generation.files.get(lost.file_sha256) is not None


async def test_a_file_is_regenerated_once_for_four_requests(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        turned = await made(place, vary(await first_of(place), seed=3))
        forget_files(tmp_path)
        job = await place.finished(await place.generation.submit(vary(turned, seed=4), ADA))
        assert job.status is Status.DONE
        restored = [job_id for job_id in set(place.changes) if job_id not in (job.id, turned.job_id)]
        jobs = [await place.store.fetch_job(job_id) for job_id in restored]
        assert len([each for each in jobs if each.request.replay is not None]) == 1


async def test_a_damaged_file_is_regenerated(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        first = await first_of(place)
        (path,) = (tmp_path / "pictures").rglob("*.png")
        path.write_bytes(b"damaged")
        assert (await made(place, enlarge(first))).status is Status.DONE
        assert first.file_sha256 is not None
        assert place.generation.files.get(first.file_sha256) is not None


async def used(place: Place) -> int:
    since = datetime.now(UTC) - timedelta(days=1)
    return (await fetch_usage(place.store._database, ADA, since=since)).used


def cost_again(image: Image) -> int:
    """What a replay of that image costs."""
    assert image.recipe is not None
    return image_cost(image.spec, image.recipe.trace)


async def waiting_for_its_file(place: Place, first: Image) -> Job:
    """Submit an upscale whose file is missing and is just being generated again."""
    forget_files(place.folder)
    job = await place.generation.submit(enlarge(first), ADA)
    await place.until(lambda: len(place.generation.list_live_ids()) == 2 and place.generation.num_running == 1)
    return job


async def test_a_restart_regenerates_the_file_once(tmp_path: Path) -> None:
    async with opened(tmp_path, engine=PACED_ENGINE) as place:
        first = await first_of(place, steps=12)
        job = await waiting_for_its_file(place, first)
    async with opened(tmp_path, engine=PACED_ENGINE) as place:
        large = (await place.finished(job)).images[0]
        assert large.status is Status.DONE
        assert await used(place) == first.charged + cost_again(first) + large.charged


async def test_bytes_that_are_of_no_use_cost_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        first = await first_of(place)
    forget_files(tmp_path)
    async with opened(tmp_path, engine="tests.generation.other_device_engine:AnotherCard") as place:
        large = (await place.finished(await place.generation.submit(enlarge(first), ADA))).images[0]
        assert (large.status, large.error) == (Status.FAILED, SourceLostError.code)
        assert await used(place) == first.charged


async def test_cancelling_also_ends_the_regeneration(tmp_path: Path) -> None:
    async with opened(tmp_path, engine=PACED_ENGINE) as place:
        first = await first_of(place, steps=20)
        job = await waiting_for_its_file(place, first)
        (unseen,) = set(place.generation.list_live_ids()) - {job.id}
        await place.generation.cancel(job.id)
        assert (await place.finished(job)).status is Status.CANCELLED
        again = (await place.finished(await place.store.fetch_job(unseen))).images[0]
        assert again.status is Status.CANCELLED
        assert again.charged < cost_again(first)


async def test_a_lost_upload_fails_and_is_refunded(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        job = await place.finished(await place.submit(start=StartImage(sha256="0" * 64, strength=0.5)))
    assert job.images[0].status is Status.FAILED
    assert job.images[0].error == SourceLostError.code
    assert job.images[0].charged == 0
