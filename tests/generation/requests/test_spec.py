"""A spec that exists can be generated; an invalid one names the wrong value."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InvalidRequestError
from generation.models.catalog import Catalog
from generation.requests.cost import compute_evaluations_cost, image_cost
from generation.requests.edits import Hires, Margins, StartImage, Upscale, Variation
from generation.requests.errors import (
    ControlCharactersError,
    EmptyPromptError,
    HiresFromPictureError,
    HiresTooLargeError,
    MarginStepError,
    MarginsTooLargeError,
    MarginsWithMaskError,
    NumberNotAboveError,
    NumberOutOfRangeError,
    OutOfRangeError,
    PromptTooLongError,
    SizeOutOfRangeError,
    UnknownSamplerError,
)
from generation.requests.prompt import MAX_PROMPT_CHARS, clean_prompt
from generation.requests.ranges import MAX_SEED
from generation.requests.replay import Replay
from generation.requests.spec import GenerationRequest, ImageSpec
from tests.messages import is_said

GOOD: dict[str, Any] = {
    "prompt": "a red circle",
    "model": "paintbox",
    "width_px": 128,
    "height_px": 128,
    "steps": 20,
    "guidance": 5.0,
    "sampler": "Euler a",
    "seed": 7,
}


def spec(**changes: Any) -> ImageSpec:
    return ImageSpec(**GOOD | changes)


CROPPED = StartImage(sha256="0" * 64, strength=1.0, margins=Margins(left=104))


@pytest.mark.parametrize(
    ("changes", "kind", "details"),
    [
        ({"prompt": ""}, EmptyPromptError, {"name": "The prompt"}),
        ({"prompt": "   "}, EmptyPromptError, {"name": "The prompt"}),
        ({"prompt": "\u200b\u200d"}, EmptyPromptError, {"name": "The prompt"}),
        ({"prompt": "x" * (MAX_PROMPT_CHARS + 1)}, PromptTooLongError, {"most": MAX_PROMPT_CHARS}),
        ({"prompt": "a\x00b"}, ControlCharactersError, {"name": "The prompt"}),
        ({"prompt": "a\ud800b"}, ControlCharactersError, {"name": "The prompt"}),
        ({"prompt": "a\u202eb"}, ControlCharactersError, {"name": "The prompt"}),
        ({"negative": "a\nb"}, ControlCharactersError, {"name": "The negative prompt"}),
        ({"seed": -1}, OutOfRangeError, {"name": "Seed", "low": 0, "high": 4294967295, "value": -1}),
        ({"seed": 2**32}, OutOfRangeError, {"name": "Seed"}),
        ({"seed": 2**64}, OutOfRangeError, {"name": "Seed"}),
        ({"seed": "7" * 99}, OutOfRangeError, {"name": "Seed", "value": "7" * 20}),
        ({"seed": 7.5}, OutOfRangeError, {"name": "Seed", "value": 7.5}),
        ({"width_px": 0}, SizeOutOfRangeError, {"least": 64, "most": 2048, "width": 0, "height": 128}),
        ({"width_px": 513}, SizeOutOfRangeError, {"step": 8, "width": 513}),
        ({"height_px": 16384}, SizeOutOfRangeError, {"height": 16384}),
        ({"height_px": 128.0}, SizeOutOfRangeError, {}),
        ({"steps": 0}, OutOfRangeError, {"name": "Steps", "low": 1, "high": 150, "value": 0}),
        ({"steps": 10_000}, OutOfRangeError, {"name": "Steps"}),
        ({"steps": True}, OutOfRangeError, {"name": "Steps", "value": "True"}),
        ({"guidance": math.nan}, NumberOutOfRangeError, {"name": "Guidance", "value": math.nan}),
        ({"guidance": math.inf}, NumberOutOfRangeError, {"name": "Guidance", "value": math.inf}),
        ({"guidance": -1.0}, NumberOutOfRangeError, {"name": "Guidance", "low": 0, "high": 30.0, "value": -1.0}),
        ({"sampler": "Eulr"}, UnknownSamplerError, {"name": "Eulr"}),
        ({"sampler": "LCM", "steps": 51}, OutOfRangeError, {"name": "Steps with LCM", "high": 50, "value": 51}),
        ({"hires": Hires(), "start": StartImage(sha256="0" * 64, strength=0.5)}, HiresFromPictureError, {}),
        ({"hires": Hires(), "width_px": 1032}, HiresTooLargeError, {"width": 2064, "height": 256}),
        ({"start": CROPPED}, MarginsTooLargeError, {"width": 24, "height": 128}),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    changes: dict[str, Any], kind: type[InvalidRequestError], details: dict[str, Any]
) -> None:
    with pytest.raises(kind) as refused:
        spec(**changes)
    assert is_said(kind, str(refused.value), **details)


def test_a_model_fills_in_only_unset_values() -> None:
    model = Catalog.open("paintbox").default
    own = model.defaults
    spec = ImageSpec.for_model(model, prompt="a", seed=1)
    assert (spec.model, spec.width_px, spec.height_px) == (model.name, own.native_px, own.native_px)
    assert (spec.steps, spec.guidance, spec.sampler) == (own.steps, own.guidance, own.sampler)
    chosen = ImageSpec.for_model(model, prompt="a", seed=1, size_px=(64, 128), steps=1, guidance=0.0, sampler="Euler")
    assert chosen == replace(spec, width_px=64, height_px=128, steps=1, guidance=0.0, sampler="Euler")


@pytest.mark.parametrize("strength", [0.0, 1.5, math.nan, -0.1])
def test_strengths_outside_their_range_are_refused(strength: float) -> None:
    with pytest.raises(NumberNotAboveError):
        StartImage(sha256="0" * 64, strength=strength)
    with pytest.raises(NumberNotAboveError):
        Variation(seed=1, strength=strength)


@pytest.mark.parametrize("sides", [{}, {"left": 12}, {"top": -8}, {"right": 4096}, {"left": 8.0}])
def test_margins_that_are_none_or_off_the_grid_are_refused(sides: dict[str, Any]) -> None:
    with pytest.raises((OutOfRangeError, MarginStepError)):
        Margins(**sides)


@pytest.mark.parametrize("factor", [1.0, 2.5, math.nan])
def test_hires_fix_makes_a_picture_larger_but_not_by_much(factor: float) -> None:
    with pytest.raises(NumberNotAboveError, match="Hires factor"):
        Hires(factor=factor)


def test_an_outpainted_picture_starts_from_a_smaller_file() -> None:
    start = StartImage(sha256="0" * 64, strength=1.0, margins=Margins(left=32, right=32, bottom=16))
    outpainted = spec(start=start)
    assert outpainted.result_size_px == (128, 128)
    assert outpainted.start_size_px == (64, 112)
    with pytest.raises(MarginsWithMaskError):
        replace(start, mask_sha256="1" * 64)


def test_hires_fix_costs_both_passes() -> None:
    """20 evaluations at 128 x 128 and 12 at 256 x 256: as if 68 small ones, and the ends of a large picture."""
    hires = spec(hires=Hires(factor=2.0, strength=0.6))
    assert hires.result_size_px == (256, 256)
    assert hires.num_evaluations == 32
    assert image_cost(hires) == round(1000 * (2 * 68 + 2 * 4) / 16)
    steps = [compute_evaluations_cost(hires, done) for done in (0, 20, 32)]
    assert steps[1] - steps[0] == round(1000 * 2 * 20 / 16)
    assert steps[2] == image_cost(hires)


def test_a_spec_written_before_outpaint_and_hires_reads_back() -> None:
    old = b"""{"prompt":"a","negative":"","model":"m","width_px":64,"height_px":64,"steps":4,"guidance":5.0,
        "sampler":"Euler","seed":1,"start":{"sha256":"00","strength":0.5,"mask_sha256":null},"variation":null,
        "upscale":null}"""
    read = msgspec.json.decode(old, type=ImageSpec)
    assert read.hires is None and read.start == StartImage(sha256="00", strength=0.5)


@pytest.mark.parametrize("count", [0, 11, 1000])
def test_a_count_outside_one_to_ten_is_refused(count: int) -> None:
    with pytest.raises(OutOfRangeError, match="Count"):
        GenerationRequest(spec=spec(), count=count)


def test_a_replay_is_of_one_picture() -> None:
    with pytest.raises(OutOfRangeError):
        GenerationRequest(spec=spec(), count=2, replay=Replay(trace="2x20", pixels_sha256="0" * 64))


def test_the_pictures_of_a_request_take_following_seeds_and_wrap() -> None:
    request = GenerationRequest(spec=spec(seed=MAX_SEED), count=3)
    assert [image.seed for image in request.images()] == [MAX_SEED, 0, 1]


def test_variations_keep_the_seed_and_turn_the_second_one() -> None:
    request = GenerationRequest(spec=spec(variation=Variation(seed=9, strength=0.2)), count=2)
    assert [(image.seed, image.variation.seed) for image in request.images() if image.variation] == [(7, 9), (7, 10)]


@given(st.text(max_size=400))
def test_any_text_is_clean_or_empty_after_cleaning(text: str) -> None:
    cleaned = clean_prompt(text)
    assert clean_prompt(cleaned) == cleaned
    with suppress(EmptyPromptError):
        spec(prompt=cleaned)


def test_marks_that_have_to_be_sorted_are_few_at_once() -> None:
    """Normalising sorts a row of marks in a time that grows with its square: these would take hours."""
    assert clean_prompt("e" + "\u0301" * 500_000 + "\u0316" * 500_000) == "\u00e9" + "\u0301" * 3


def test_cleaning_keeps_what_people_mean() -> None:
    assert clean_prompt("  a\r\ncat, 猫 👩\u200d🎨\t(red:1.2)") == "a cat, 猫 👩\u200d🎨 (red:1.2)"
    assert clean_prompt("cafe\u0301") == "café"
    assert clean_prompt("e" + "\u0301" * 10_000).count("\u0301") <= 3
    assert clean_prompt("a\u202eb\x00c") == "abc"


def test_cost_counts_rows_steps_and_pixels() -> None:
    small = image_cost(spec(width_px=512, height_px=512))
    assert small == (2 * 20 + 2) * 1000
    assert image_cost(spec(width_px=1024, height_px=512)) == 2 * small
    assert image_cost(spec(width_px=512, height_px=512, guidance=1.0)) == (20 + 2) * 1000
    assert image_cost(spec(width_px=512, height_px=512, sampler="Heun")) == (2 * 39 + 2) * 1000
    assert compute_evaluations_cost(spec(width_px=512, height_px=512), 5) == (2 * 5 + 2) * 1000


def test_a_replay_costs_all_rows_of_its_trace() -> None:
    asked = spec(width_px=512, height_px=512)
    assert image_cost(asked, "2x20") == image_cost(asked)
    assert image_cost(asked, "16x12,4x8") == (16 * 12 + 4 * 8 + 2) * 1000
    assert compute_evaluations_cost(asked, 13, "16x12,4x8") == (16 * 12 + 4 + 2) * 1000
    larger = spec(width_px=256, height_px=256, hires=Hires(factor=2.0, strength=0.5))
    assert image_cost(larger, "8x20,2x10") == (8 * 20 / 4 + 2 * 10 + 2) * 1000


def test_a_start_image_leaves_steps_out() -> None:
    started = spec(start=StartImage(sha256="0" * 64, strength=0.5))
    assert started.num_evaluations == 10
    assert image_cost(started) < image_cost(spec())


def test_an_upscaled_picture_is_larger_and_takes_no_model_evaluations() -> None:
    enlarged = spec(upscale=Upscale(sha256="0" * 64))
    assert enlarged.result_size_px == (256, 256)
    assert enlarged.num_evaluations == 0
    assert image_cost(enlarged) > 0
