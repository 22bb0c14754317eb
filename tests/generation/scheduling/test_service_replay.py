"""The main promise: pictures of many members in one forward pass, each reproducible byte for byte."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from generation.images.codec import decode_png, encode_png
from generation.images.replay import Agreement, judge
from generation.jobs.job import Image, Status
from generation.models.catalog import Catalog
from generation.models.errors import AlreadyLargestError
from generation.owner import Owner
from generation.requests.cost import WORK, image_cost
from generation.requests.edits import StartImage, Upscale
from generation.requests.errors import RecipeUnusableError
from generation.requests.recipe import Trace
from generation.requests.replay import Replay
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.workers.frames import DEFAULT_ENGINE
from tests.generation.engine.toy import save_toy, toy_model
from tests.generation.service_harness import ADA, Place, opened, spec

PROMPT = "a red cat"


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    catalog = Catalog((toy_model(save_toy(tmp_path / "toy")),))
    async with opened(tmp_path, catalog=catalog, engine=DEFAULT_ENGINE) as place:
        yield place


def ask(**changes: object) -> ImageSpec:
    return spec(PROMPT, model="toy", **changes)


async def make_again(place: Place, image: Image) -> Agreement:
    assert image.recipe is not None
    again = Replay(trace=image.recipe.trace, pixels_sha256=image.recipe.pixels_sha256)
    request = GenerationRequest(spec=image.recipe.spec, replay=again)
    job = await place.generation.submit(request, ADA, attached=request.spec.files)
    made = (await place.finished(job)).images[0]
    assert made.status is Status.DONE
    assert made.recipe is not None
    assert place.worker.fingerprint is not None
    return judge(image.recipe, pixels(place, made), place.worker.fingerprint, original=None).verdict


def pixels(place: Place, image: Image) -> bytes:
    png = place.generation.files.get(image.file_sha256 or "")
    assert png is not None
    return decode_png(png)[0]


async def test_a_picture_among_seven_others_is_reproduced_exactly(place: Place) -> None:
    start = place.generation.files.put(encode_png(bytes(range(256)) * 48, (64, 64)))
    samplers = ("Euler a", "DDIM", "DPM++ 2M Karras", "PLMS", "Euler", "UniPC", "Heun")
    others = [
        GenerationRequest(
            spec=ask(
                sampler=sampler,
                seed=100 + n,
                steps=3 + n,
                guidance=1.0 if n == 3 else 2.0 + n,
                start=StartImage(sha256=start, strength=0.7) if n % 3 == 0 else None,
            )
        )
        for n, sampler in enumerate(samplers)
    ]
    mine = GenerationRequest(spec=ask(sampler="Euler a", seed=7, steps=12))
    jobs = await asyncio.gather(
        *(
            place.generation.submit(request, Owner(n, n), attached=request.spec.files)
            for n, request in enumerate([*others[:4], mine, *others[4:]], 1)
        )
    )
    images = [(await place.finished(job)).images[0] for job in jobs]
    traces = {image.recipe.trace for image in images if image.recipe}
    assert any(max(Trace.parse(trace).buckets()) > 2 for trace in traces), "they did share forwards"
    assert [await make_again(place, image) for image in images] == [Agreement.IDENTICAL] * 8


async def test_a_replay_in_large_forwards_pays_for_them(place: Place) -> None:
    asked = ask(steps=3)
    replay = Replay(trace="8x3", pixels_sha256="0" * 64)
    usual = await place.finished(await place.generation.submit(GenerationRequest(spec=asked), ADA))
    padded = await place.finished(await place.generation.submit(GenerationRequest(spec=asked, replay=replay), ADA))
    assert padded.images[0].recipe is not None
    assert padded.images[0].recipe.trace == "8x3"
    assert padded.images[0].charged == image_cost(asked, "8x3", work=WORK["sd"]) > 2 * usual.images[0].charged


@pytest.mark.parametrize("trace", ["8x2", "1x3", "2x9999", "nonsense"])
async def test_an_impossible_trace_is_refused_before_it_is_accepted(place: Place, trace: str) -> None:
    with pytest.raises(RecipeUnusableError):
        await place.generation.submit(
            GenerationRequest(spec=ask(steps=3), replay=Replay(trace=trace, pixels_sha256="0" * 64)), ADA
        )
    assert await place.store.fetch_unfinished() == []


async def test_an_enlargement_beyond_what_is_offered_is_refused(place: Place) -> None:
    """A recipe in a file may ask for one; the price grows with it, the memory of this machine does not."""
    huge = ask(width_px=2048, height_px=2048, upscale=Upscale(sha256="0" * 64))
    with pytest.raises(AlreadyLargestError):
        await place.generation.submit(GenerationRequest(spec=huge), ADA, attached=huge.files)


async def test_the_check_sees_another_picture(place: Place) -> None:
    job = await place.generation.submit(GenerationRequest(spec=ask(steps=3)), ADA)
    image = (await place.finished(job)).images[0]
    assert image.recipe is not None
    forged = dataclasses.replace(image.recipe, spec=dataclasses.replace(image.recipe.spec, seed=8))
    assert await make_again(place, dataclasses.replace(image, recipe=forged)) is not Agreement.IDENTICAL
