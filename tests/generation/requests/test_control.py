"""ControlNets of a spec: what is refused, when they are at work, what they cost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from generation.errors import InvalidRequestError
from generation.requests.control import ADAPTER, UNION, Control, read_span
from generation.requests.cost import WORK, compute_evaluations_cost, image_cost
from generation.requests.edits import Hires, StartImage, Upscale
from generation.requests.errors import (
    ControlKindError,
    ControlModeError,
    ControlRangeError,
    ControlSpanError,
    ControlWithUpscaleError,
    NumberOutOfRangeError,
    PreprocessorUnknownError,
    RecipeUnusableError,
    TooManyControlsError,
)
from generation.requests.recipe import require_trace
from generation.requests.spec import ImageSpec

DIGEST = "c" * 64


def control(**changes: Any) -> Control:
    plain: dict[str, Any] = {"network": "canny", "network_sha256": "a" * 64, "sha256": DIGEST}
    return Control(**plain | changes)


def spec(**changes: Any) -> ImageSpec:
    plain: dict[str, Any] = {
        "prompt": "a house",
        "model": "m",
        "width_px": 512,
        "height_px": 512,
        "steps": 10,
        "guidance": 5.0,
        "sampler": "DDIM",
        "seed": 1,
    }
    return ImageSpec(**plain | changes)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"strength": float("nan")}, NumberOutOfRangeError),
        ({"strength": -0.1}, NumberOutOfRangeError),
        ({"strength": 2.1}, NumberOutOfRangeError),
        ({"strength": "1"}, NumberOutOfRangeError),
        ({"begin": 1.5}, NumberOutOfRangeError),
        ({"begin": 0.5, "end": 0.5}, ControlRangeError),
        ({"preprocessor": "depth"}, PreprocessorUnknownError),
        ({"preprocessor": ["canny"]}, PreprocessorUnknownError),
        ({"version": 2}, PreprocessorUnknownError),
        ({"version": True}, PreprocessorUnknownError),
        ({"kind": "lora"}, ControlKindError),
        ({"kind": ["union"], "mode": "depth"}, ControlKindError),
        ({"kind": "union"}, ControlModeError),
        ({"kind": "union", "mode": "repaint"}, ControlModeError),
        ({"mode": "depth"}, ControlModeError),
        ({"kind": "t2i-adapter", "mode": "depth"}, ControlModeError),
        ({"network": "../x"}, InvalidRequestError),
        ({"network_sha256": "x"}, InvalidRequestError),
        ({"sha256": "../x"}, InvalidRequestError),
    ],
)
def test_a_control_that_cannot_be_is_refused(changes: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        control(**changes)


@pytest.mark.parametrize("controls", [(), (control(),) * 4])
def test_one_to_three_work_at_once(controls: tuple[Control, ...]) -> None:
    with pytest.raises(TooManyControlsError):
        spec(control=controls)


def test_an_enlargement_takes_none() -> None:
    with pytest.raises(ControlWithUpscaleError):
        spec(upscale=Upscale(sha256=DIGEST), control=(control(),))


def test_a_spec_without_one_is_written_as_before() -> None:
    assert b"control" not in msgspec.json.encode(spec())
    written = msgspec.json.encode(spec(control=(control(strength=0.5),)))
    assert msgspec.json.decode(written, type=ImageSpec).controls == (control(strength=0.5),)


def test_its_picture_is_a_source() -> None:
    start = StartImage(sha256="d" * 64, strength=0.5, mask_sha256="e" * 64)
    both = spec(control=(control(), control(sha256="f" * 64)), start=start)
    assert both.sources == both.files == {DIGEST, "f" * 64, "d" * 64, "e" * 64}


@pytest.mark.parametrize(
    ("begin", "end", "active"),
    [(0, 1, range(10)), (0, 0.5, range(5)), (0.35, 1, range(4, 10)), (0.2, 0.55, range(2, 5))],
)
def test_it_works_in_the_steps_that_lie_wholly_between(begin: float, end: float, active: range) -> None:
    """As in the stock pipelines: `1 - (i / n < begin or (i + 1) / n > end)`."""
    each = control(begin=begin, end=end)
    assert [index for index in range(10) if each.is_active(index, 10)] == list(active)
    assert not any(replace(each, strength=0.0).is_active(index, 10) for index in range(10))


@pytest.mark.parametrize("trace", ["2c2x10", "2c4x6,8c2x4"])
def test_traces_with_its_bucket_are_possible(trace: str) -> None:
    require_trace(spec(control=(control(),)), trace)


@pytest.mark.parametrize("trace", ["2x10", "2c2x9,2x1", "2c2c2x10", "2c3x10", "2c1x10"])
def test_traces_without_its_bucket_or_with_another_are_refused(trace: str) -> None:
    with pytest.raises(RecipeUnusableError):
        require_trace(spec(control=(control(),)), trace)


def test_a_trace_leaves_out_the_steps_in_which_it_rests() -> None:
    half = spec(control=(control(end=0.5),))
    require_trace(half, "2c2x5,2x5")
    with pytest.raises(RecipeUnusableError):
        require_trace(half, "2c2x10")
    with pytest.raises(RecipeUnusableError):
        require_trace(spec(), "2c2x10")


def test_a_hires_fix_has_it_in_both_passes() -> None:
    larger = spec(control=(control(end=0.5),), hires=Hires(factor=1.5, strength=0.5))
    require_trace(larger, "2c2x5,2x5,2c2x2,2x3")


def test_it_costs_what_its_network_takes_in_the_steps_in_which_it_works() -> None:
    work = WORK["sd"]
    plain, half, whole = (image_cost(each, work=work) for each in (spec(), *map(_with, (0.5, 1.0))))
    of_control = 2 * 1000 * work.of_control(512, 512)
    assert half - plain == pytest.approx(5 * of_control, abs=1)
    assert whole - plain == pytest.approx(10 * of_control, abs=1)
    assert compute_evaluations_cost(_with(0.5), 3, work=work) - compute_evaluations_cost(
        spec(), 3, work=work
    ) == pytest.approx(3 * of_control, abs=1)
    replayed = image_cost(_with(1.0), "2c16x10", work=work)
    assert replayed - whole == pytest.approx(10 * 14 * 1000 * work.of_control(512, 512), abs=1)


def _with(end: float) -> ImageSpec:
    return spec(control=(control(end=end),))


def test_kind_and_mode_are_written_only_where_they_say_something() -> None:
    plain, adapter = control(), control(kind=ADAPTER)
    assert b"kind" not in msgspec.json.encode(plain) and b"mode" not in msgspec.json.encode(plain)
    union = control(kind=UNION, mode="depth")
    for each in (plain, adapter, union):
        assert msgspec.json.decode(msgspec.json.encode(each), type=Control) == each


def test_an_adapter_has_no_bucket_and_a_union_has_its_own_rows() -> None:
    adapter, union = control(kind=ADAPTER), control(kind=UNION, mode="pose")
    require_trace(spec(control=(adapter,)), "8x10")
    require_trace(spec(control=(adapter, union, control())), "8c2c4x10")
    refused = [((adapter,), "8c2x10"), ((union,), "8c4x10"), ((union,), "2x10"), ((control(), union), "8c2c4x10")]
    for controls, trace in refused:
        with pytest.raises(RecipeUnusableError):
            require_trace(spec(control=controls), trace)
    assert image_cost(spec(control=(adapter,))) == image_cost(spec())
    assert image_cost(spec(control=(union,))) == image_cost(spec(control=(control(),)))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("0-0.5", (0.0, 0.5)),
        (" 0,2 – 0,8 ", (0.2, 0.8)),
        ("0.3-", (0.3, 1.0)),
        ("-.5", (0.0, 0.5)),
        ("20-80%", (0.2, 0.8)),
        ("20% - 80 %", (0.2, 0.8)),
        ("5-9", (5.0, 9.0)),
    ],
)
def test_a_part_of_the_steps_is_read_as_people_write_it(text: str, span: tuple[float, float]) -> None:
    assert read_span(text) == span


@pytest.mark.parametrize("text", ["", "-", "%-%", "0.5", "0-0.5-1", "a-b", "nan-inf", "1e9-2", "0..5-1", "0-0.5 steps"])
def test_other_texts_are_no_part_of_the_steps(text: str) -> None:
    with pytest.raises(ControlSpanError):
        read_span(text)
