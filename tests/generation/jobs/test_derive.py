"""Pictures derived from pictures, their sizes, and who may stop a job."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from generation.errors import NotAllowedError, UnknownJobError
from generation.jobs.derive import apply_hires_fix, enlarge, outpaint, reproduce, reroll, vary, zoom_out
from generation.jobs.errors import NotFromWordsError, PictureEnlargedError
from generation.jobs.job import Image, Job, new_job_id
from generation.jobs.permissions import require_may_stop
from generation.models.catalog import Catalog
from generation.models.errors import AlreadyLargestError, SizeFormatError, SizeTooLargeError
from generation.models.sizes import find_closest_shape, get_shape_size, parse_size
from generation.owner import Owner
from generation.requests.edits import Hires, Margins, StartImage, Upscale
from generation.requests.errors import NumberNotAboveError, RecipeUnusableError, SizeOutOfRangeError, UnknownAspectError
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import GenerationRequest, ImageSpec

MODEL = Catalog.open("paintbox").default
SPEC = ImageSpec(
    prompt="a red circle",
    model="paintbox",
    width_px=128,
    height_px=96,
    steps=4,
    guidance=4.0,
    sampler="Euler",
    seed=7,
)


def job_of(spec: ImageSpec, *, guild_id: int = 1) -> Job:
    job_id = new_job_id()
    image = Image(job_id=job_id, index=0, spec=spec, reserved=1, file_sha256="ab" * 32)
    request = GenerationRequest(spec=spec)
    owner = Owner(guild_id=guild_id, user_id=2)
    return Job(id=job_id, owner=owner, request=request, created_at=datetime.now(UTC), images=(image,))


def test_a_reroll_differs_by_the_seed_alone() -> None:
    assert reroll(job_of(SPEC), seed=8).spec == replace(SPEC, seed=8)


def test_variations_keep_the_seed_and_turn_a_second_one() -> None:
    request = vary(job_of(SPEC).images[0], seed=8)
    assert request.count == 4
    assert {spec.seed for spec in request.images()} == {7}
    assert [spec.variation.seed for spec in request.images() if spec.variation] == [8, 9, 10, 11]


def test_a_variation_of_a_variation_starts_from_the_picture() -> None:
    first = vary(job_of(SPEC).images[0], seed=8).spec
    again = vary(job_of(first).images[0], seed=9).spec
    assert again.start == StartImage(sha256="ab" * 32, strength=0.5)
    assert again.variation is None


def test_an_enlargement_has_the_size_of_its_source_and_can_neither_be_rerolled_nor_varied() -> None:
    first = enlarge(job_of(SPEC).images[0]).spec
    assert first.result_size_px == (256, 192)
    assert enlarge(job_of(first).images[0]).spec.result_size_px == (512, 384)
    with pytest.raises(PictureEnlargedError):
        reroll(job_of(first), seed=1)
    with pytest.raises(PictureEnlargedError):
        vary(job_of(first).images[0], seed=1)
    with pytest.raises(AlreadyLargestError):
        enlarge(job_of(replace(SPEC, width_px=2048)).images[0])


def test_zooming_out_puts_the_whole_picture_in_the_middle_of_a_larger_canvas() -> None:
    wide = zoom_out(job_of(SPEC).images[0], 1.5, seed=9).spec
    assert wide.result_size_px == (192, 144)
    assert wide.start_size_px == (128, 96)
    assert wide.start == StartImage(
        sha256="ab" * 32, strength=1.0, margins=Margins(left=32, right=32, top=24, bottom=24)
    )
    assert wide.seed == 9
    enlarged = enlarge(job_of(SPEC).images[0]).spec
    assert zoom_out(job_of(enlarged).images[0], 2.0, seed=9).spec.result_size_px == (512, 384)
    for factor in (1.0, 3.0):
        with pytest.raises(NumberNotAboveError, match="Zoom"):
            zoom_out(job_of(SPEC).images[0], factor, seed=9)


def test_a_picture_is_outpainted_on_the_sides_that_are_asked_for() -> None:
    wider = outpaint(job_of(SPEC).images[0], Margins(right=64), seed=9).spec
    assert (wider.width_px, wider.height_px) == (192, 96)
    assert wider.start_size_px == (128, 96)


def test_hires_fix_needs_a_picture_from_words_alone() -> None:
    larger = apply_hires_fix(job_of(SPEC).images[0])
    assert larger.spec == replace(SPEC, hires=Hires(factor=2.0, strength=0.6))
    assert larger.spec.result_size_px == (256, 192)
    with pytest.raises(NotFromWordsError):
        apply_hires_fix(job_of(larger.spec).images[0])
    turned = vary(job_of(larger.spec).images[0], seed=8).spec
    again = vary(job_of(turned).images[0], seed=9).spec
    assert (again.hires, again.result_size_px) == (None, (256, 192)), "what starts from a file has its size"


@pytest.mark.parametrize(
    "trace",
    ["no trace", "8x9999", "999x4", "", "2x3", "2x5", "1x4", "3x4", "32x4", "2x2,1x2", "9999x9999," * 3000 + "2x4"],
)
def test_a_forged_recipe_is_refused(trace: str) -> None:
    recipe = Recipe(spec=SPEC, model_sha256="00", trace=trace, fingerprint=Fingerprint({}), pixels_sha256="00")
    with pytest.raises(RecipeUnusableError):
        reproduce(recipe)


@pytest.mark.parametrize(
    "made",
    [
        {"spec": replace(SPEC, start=StartImage(sha256="../../etc/passwd", strength=0.5))},
        {"spec": replace(SPEC, start=StartImage(sha256="ab" * 32, strength=0.5, mask_sha256="AB" * 32))},
        {"spec": replace(SPEC, upscale=Upscale(sha256="ab" * 32 + "\n"))},
        {"pixels_sha256": "x" * 6000},
        {"trace": "64x3"},
    ],
)
def test_a_recipe_with_impossible_values_is_refused(made: dict[str, Any]) -> None:
    basis = Recipe(spec=SPEC, model_sha256="", trace="2x4", fingerprint=Fingerprint({}), pixels_sha256="ab" * 32)
    assert reproduce(basis).spec == SPEC
    with pytest.raises(RecipeUnusableError):
        reproduce(replace(basis, **made))


def test_sizes_are_rounded_to_the_grid_of_the_model_and_bounded() -> None:
    assert parse_size(MODEL, "100 x 131") == (96, 128)
    assert get_shape_size(MODEL, "1:1") == (128, 128)
    assert find_closest_shape(MODEL, (1920, 1080)) == get_shape_size(MODEL, "16:9")
    for bad in ("", "12", "1x2x3", "99999x1", "x", "-5x5"):
        with pytest.raises((SizeFormatError, SizeTooLargeError, SizeOutOfRangeError)):
            parse_size(MODEL, bad)
    with pytest.raises(UnknownAspectError):
        get_shape_size(MODEL, "7:1")


def test_only_the_owner_or_a_moderator_of_the_same_server_stops_a_job() -> None:
    job = job_of(SPEC)
    require_may_stop(job, Owner(1, 2), is_moderator=False)
    require_may_stop(job, Owner(1, 3), is_moderator=True)
    with pytest.raises(NotAllowedError):
        require_may_stop(job, Owner(1, 3), is_moderator=False)
    with pytest.raises(UnknownJobError):
        require_may_stop(job, Owner(9, 3), is_moderator=True)
    with pytest.raises(UnknownJobError):
        require_may_stop(job_of(SPEC, guild_id=0), Owner(0, 3), is_moderator=False)
