"""Prices follow model and size, and every part of the program computes the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from generation.jobs.job import Image, Job, Status
from generation.models.catalog import Catalog, Model
from generation.requests.cost import BY_PIXELS, UNITS_PER_STEP, WORK, Work, compute_evaluations_cost, image_cost
from generation.requests.defaults import Defaults
from generation.requests.edits import Hires, StartImage, Upscale, UpscaleNetwork
from generation.requests.prompt_addons import Adapter
from generation.requests.replay import Replay
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.active_jobs import ActiveImage, ActiveJobs
from tests.generation.service_harness import ADA, opened, spec

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SD, XL = WORK["sd"], WORK["sdxl"]


def ends(work: Work, side_px: int) -> float:
    """Units of reading two prompts and of making a picture of its latents."""
    return 1000 * (2 * work.text + work.decode * side_px**2 / 512**2)


def asked(side_px: int = 512, **changes: Any) -> ImageSpec:
    return spec(width_px=side_px, height_px=side_px, steps=20, **changes)


def a_model(name: str, family: str) -> Model:
    defaults = Defaults(steps=20, guidance=4.0, sampler="Euler", native_px=512)
    return Model(name=name, path=Path("/nowhere"), family=family, licence="none", defaults=defaults)


def test_a_step_of_sd_at_its_own_size_is_the_standard_step() -> None:
    assert image_cost(asked(), work=SD) == round(20 * UNITS_PER_STEP + ends(SD, 512))
    assert image_cost(asked()) == 20 * UNITS_PER_STEP + 2000


@pytest.mark.parametrize(("side_px", "times"), [(512, 1.98), (768, 4.53), (1024, 8.42), (1536, 21.5)])
def test_the_cost_of_an_xl_step_is_its_operations(side_px: int, times: float) -> None:
    steps = image_cost(asked(side_px), work=XL) - ends(XL, side_px)
    assert steps / (20 * UNITS_PER_STEP) == pytest.approx(times, rel=0.01)


def test_attention_is_charged_with_the_square_of_the_pixels() -> None:
    assert SD.of(1024, 1024) == pytest.approx(5.82, rel=0.01)
    assert SD.of(1024, 512) == SD.of(512, 1024) > 2 * SD.of(512, 512)


def test_the_cost_of_the_built_in_model_is_unchanged() -> None:
    model = Catalog.open("paintbox").default
    assert model.work == BY_PIXELS
    assert image_cost(asked(128), work=model.work) == 2 * 21 * 1000 // 16
    assert Catalog((model,)).work_of("removed since") == BY_PIXELS


def test_every_pass_is_charged_at_its_size_and_a_replay_for_its_rows() -> None:
    larger = asked(512, hires=Hires(factor=2.0, strength=0.5))
    expected = 1000 * (2 * 20 * XL.of(512, 512) + 2 * 10 * XL.of(1024, 1024)) + ends(XL, 1024)
    assert image_cost(larger, work=XL) == round(expected)
    expected = 1000 * (8 * 20 * XL.of(512, 512) + 4 * 10 * XL.of(1024, 1024)) + ends(XL, 1024)
    assert image_cost(larger, "8x20,4x10", work=XL) == round(expected)


def test_a_start_image_is_encoded_and_a_lora_adds_to_every_step() -> None:
    started = asked(start=StartImage(sha256="0" * 64, strength=1.0))
    assert image_cost(started, work=XL) - image_cost(asked(), work=XL) == pytest.approx(1000 * XL.encode, abs=1)
    with_lora = asked(adapters=(Adapter(name="x", sha256="0" * 64, weight=1.0),))
    steps = image_cost(asked(), work=XL) - ends(XL, 512)
    assert image_cost(with_lora, work=XL) - image_cost(asked(), work=XL) == pytest.approx(0.025 * steps, abs=1)


def test_no_network_is_so_small_that_its_steps_are_free() -> None:
    nothing = Work(0.0, 0.0, 0.0, text=0.0, decode=0.0, encode=0.0)
    assert image_cost(asked(), work=nothing) == 20 * 2 * 10


def test_an_enlargement_costs_the_same_with_every_model() -> None:
    enlarged = asked(upscale=Upscale(sha256="0" * 64))
    assert image_cost(enlarged, work=XL) == image_cost(enlarged, work=SD) == image_cost(enlarged)


def test_an_added_upscaler_is_charged_for_the_pixels_of_its_result_too() -> None:
    network = UpscaleNetwork(name="x", sha256="1" * 64)
    for factor, units in ((1, 11_000), (2, 14_000), (4, 26_000)):
        assert image_cost(asked(512, upscale=Upscale(sha256="0" * 64, factor=factor, network=network))) == units
    assert image_cost(asked(512, upscale=Upscale(sha256="0" * 64))) == 10_000


@pytest.mark.parametrize("reserved_times", [1.0, 0.5])
def test_a_cancelled_picture_pays_its_part_of_what_was_reserved(reserved_times: float) -> None:
    """Also when that was by the prices of an earlier release."""
    one = asked(1024)
    reserved = round(reserved_times * image_cost(one, work=XL))
    image = ActiveImage(Image(job_id="a", index=0, spec=one, reserved=reserved), work=XL)
    assert image.charge_for(0) == 0
    assert image.charge_for(5) == int(reserved_times * compute_evaluations_cost(one, 5, work=XL))
    assert image.charge_for(20) == reserved


async def test_a_model_is_charged_for_everywhere_as_it_is_reserved(tmp_path: Path) -> None:
    """Reserved, charged, and counted towards the pace: one number."""
    small, large = a_model("small", "sd"), a_model("large", "sdxl")
    async with opened(tmp_path, catalog=Catalog((small, large))) as place:
        charged = {}
        for model in (small, large):
            one = replace(asked(512), model=model.name)
            job = await place.finished(await place.generation.submit(GenerationRequest(spec=one), ADA))
            assert job.images[0].status is Status.DONE
            assert job.images[0].charged == job.images[0].reserved == image_cost(one, work=model.work)
            charged[model.name] = job.images[0].charged
        assert charged["large"] > 1.9 * charged["small"]


async def test_steps_done_are_charged_by_the_model() -> None:
    one = replace(asked(512), model="large")
    request = GenerationRequest(spec=one, replay=Replay(trace="4x20", pixels_sha256="0"))
    image = Image(job_id="a", index=0, spec=one, reserved=image_cost(one, "4x20", work=XL))
    job = Job(id="a", owner=ADA, request=request, created_at=NOW, images=(image,))
    jobs = ActiveJobs({"large": XL}.__getitem__)
    live = jobs.add(job).images[image.id]
    live.done = 20
    assert live.units_done == image.reserved == round(1000 * (4 * 20 * XL.of(512, 512)) + ends(XL, 512))


async def test_a_cancel_after_an_update_pays_by_the_prices_of_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job was reserved by an earlier release at a tenth; half of its steps cost half of that."""
    monkeypatch.setattr(
        "generation.scheduling.new_job.image_cost", lambda spec, trace, **of: image_cost(spec, trace, **of) // 10
    )
    async with opened(tmp_path, catalog=Catalog((a_model("large", "sdxl"),))) as place:
        one = replace(asked(1024), prompt="endless-image", model="large")
        job = await place.generation.submit(GenerationRequest(spec=one), ADA)
        await place.until(lambda: place.is_running(job))
        await place.generation.cancel(job.id)
        [image] = (await place.finished(job)).images
        assert image.status is Status.CANCELLED
        assert 0 < image.charged < image.reserved < image_cost(one, work=XL) // 9
