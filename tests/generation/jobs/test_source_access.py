"""The service lets only permitted members start from a file, for every kind of request."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cli import offline
from generation.errors import NotAllowedError, SourceLostError
from generation.images.codec import encode_png
from generation.images.replay import Agreement
from generation.jobs.derive import enlarge, reproduce, reroll, reuse_settings, vary, zoom_out
from generation.jobs.derive_edits import RemixOptions, get_remix_options, inpaint_mask, remix, start_from_image
from generation.jobs.errors import NotYourUploadError, SourceDeletedError
from generation.jobs.job import Image, Job, Status
from generation.owner import Owner
from generation.requests.edits import StartImage, Upscale
from generation.requests.spec import GenerationRequest
from tests.generation.service_harness import ADA, Place, opened

BO, ELSEWHERE = Owner(ADA.guild_id, 300), Owner(2, 200)
STRONGLY = StartImage(sha256="", strength=0.6)


async def attached(place: Place, colour: int = 1) -> str:
    return await asyncio.to_thread(place.generation.files.put, encode_png(bytes([colour]) * 3 * 64 * 64, (64, 64)))


async def of_an_upload(place: Place, **changes: Any) -> Job:
    start = replace(STRONGLY, sha256=await attached(place))
    return await place.finished(await place.submit(start=start, **changes))


async def made(place: Place, request: GenerationRequest, owner: Owner = ADA) -> Image:
    job = await place.finished(await place.generation.submit(request, owner))
    assert job.status is Status.DONE, job.images[0].error
    return job.images[0]


def remixed(place: Place, job: Job) -> GenerationRequest:
    wishes: RemixOptions = replace(get_remix_options(job), strength=0.05)
    return remix(job, wishes, place.generation.catalog.default)


async def test_no_request_of_another_member_starts_from_an_upload(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        job = await of_an_upload(place)
        [image] = job.images
        assert image.recipe is not None
        upload = image.spec.start
        assert upload is not None
        requests = {
            "reroll": reroll(job, seed=1),
            "vary": vary(image, seed=1),
            "remix": remixed(place, job),
            "mask": inpaint_mask(image, upload.sha256, place.generation.catalog.default, prompt="x", seed=1),
            "forged": GenerationRequest(spec=replace(image.spec, start=None, upscale=Upscale(sha256=upload.sha256))),
            "forged replay": reproduce(replace(image.recipe, spec=replace(image.spec, seed=99))),
        }
        for name, request in requests.items():
            with pytest.raises(NotYourUploadError):
                await place.generation.submit(request, BO)
                pytest.fail(name)
        for name, request in (requests | {"replay": reproduce(image.recipe)}).items():
            with pytest.raises(NotAllowedError):
                await place.generation.submit(request, ELSEWHERE)
                pytest.fail(name)
        for name in ("reroll", "vary", "remix"):
            assert (await place.finished(await place.generation.submit(requests[name], ADA))).status is Status.DONE
        assert (await made(place, reproduce(image.recipe), BO)).file_sha256 == image.file_sha256


async def test_a_picture_is_started_from_in_its_own_server(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        [image] = (await of_an_upload(place)).images
        for request in (enlarge(image), zoom_out(image, 1.5, seed=1)):
            assert (await made(place, request, BO)).status is Status.DONE
            with pytest.raises(SourceDeletedError):  # not even that there is one
                await place.generation.submit(request, ELSEWHERE)


async def test_the_words_of_a_recipe_start_from_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        model = place.generation.catalog.default
        [image] = (await of_an_upload(place)).images
        large = await made(place, enlarge(image))
        for recipe in (image.recipe, large.recipe):
            assert recipe is not None
            request = reuse_settings(recipe, model)
            assert request.spec.sources == frozenset()
            assert (request.spec.prompt, request.spec.seed) == (recipe.spec.prompt, recipe.spec.seed)
            assert (await made(place, request, ELSEWHERE)).status is Status.DONE


async def test_results_from_an_upload_are_marked(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        job = await of_an_upload(place)
        [image] = job.images
        large = await made(place, enlarge(image), BO)
        further = GenerationRequest(spec=start_from_image(large, strength=0.5, seed=1))
        words = await place.finished(await place.submit())
        ids = {"upload": job.id, "large": large.job_id, "words": words.id}
        ids["small"] = (await made(place, replace(further, spec=replace(further.spec, steps=2)), BO)).job_id
        ids["larger words"] = (await made(place, enlarge(words.images[0]))).job_id
        found = {name: (await place.store.fetch_job(job_id)).is_from_upload for name, job_id in ids.items()}
    assert found == {"upload": True, "large": True, "small": True, "words": False, "larger words": False}


async def test_a_regenerated_source_does_not_keep_an_upload(tmp_path: Path) -> None:
    """Its file had been cleared away. When its owner deletes it, the one painted again and the upload go too."""
    async with opened(tmp_path) as place:
        job = await of_an_upload(place)
        [image] = job.images
        assert image.file_sha256 is not None
        place.generation.files.remove(image.file_sha256)
        for owner in (ADA, BO):
            large = await made(place, enlarge(image), owner)
            assert place.generation.files.get(image.file_sha256) is not None
            place.generation.files.remove(image.file_sha256)
            assert await place.store.forget_pictures(large.job_id) in ([large.file_sha256], [])
        upload = image.spec.start
        assert upload is not None
        assert set(await place.store.forget_pictures(job.id)) == {upload.sha256, image.file_sha256}
        assert await place.store.fetch_painted(image.file_sha256) is None
        for owner in (ADA, BO):
            with pytest.raises(SourceDeletedError):
                await place.generation.submit(enlarge(image), owner)


async def test_the_operator_can_replay_any_picture_in_the_shell(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        job = await of_an_upload(place)
        running = asyncio.create_task(asyncio.Event().wait())
        originals = await offline.read_job(place.generation, place.store, job.id)
        assert (await offline.replay(place.generation, running, originals)).verdict is Agreement.IDENTICAL  # type: ignore[arg-type]
        assert job.request.spec.files <= set(await place.store.forget_pictures(job.id))
        running.cancel()


async def test_when_an_upload_is_lost_too_it_costs_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path) as place:
        [image] = (await of_an_upload(place)).images
        shutil.rmtree(tmp_path / "pictures")
        job = await place.finished(await place.generation.submit(enlarge(image), BO))
        assert (job.images[0].error, job.images[0].charged) == (SourceLostError.code, 0)
