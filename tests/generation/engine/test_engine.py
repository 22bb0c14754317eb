"""The engine: cancel, fairness between steps, previews, and failures of one image alone."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage

from generation.engine.engine import Engine
from generation.engine.outpaint import extend
from generation.engine.pixels import read_picture
from generation.jobs.protocol import Cancel, Cancelled, Finished, ImageFailed, Preview, Progress, Share
from generation.models.hashing import digest_file
from generation.requests.edits import Hires, Margins, Upscale, UpscaleNetwork, Variation
from generation.requests.recipe import Trace
from generation.requests.upscalers import Upscaler, build_upscale
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_picture, a_spec, a_start, an_order, as_array, ends, paint, run, trace_of
from tests.generation.engine.toy import save_upscaler, toy_model
from tests.generation.engine.upscalers.toy_upscalers import TOYS

MakeEngine = Callable[..., Engine]


def progressed(engine: Engine) -> set[str]:
    """Return the images that one step advanced."""
    return {event.image_id for event in engine.step() if isinstance(event, Progress)}


def drop_all(engine: Engine, *image_ids: str) -> None:
    for image_id in image_ids:
        engine.cancel(Cancel(image_id=image_id, attempt=1))


# Coming and going.


def test_an_idle_engine_says_nothing(engine: Engine) -> None:
    assert engine.is_idle
    assert engine.step() == []


@pytest.mark.parametrize(("max_rows", "slots"), [(2, 2), (8, 5), (16, 10), (0, 10)])
def test_there_are_more_slots_than_rows_of_a_forward(make_engine: MakeEngine, max_rows: int, slots: int) -> None:
    """By default a CPU would run 64 rows of the toy's 64 pixels at once, but its largest bucket is 16."""
    assert make_engine(max_rows=max_rows).num_slots == slots


def test_a_newcomer_is_in_the_very_next_step(make_engine: MakeEngine) -> None:
    engine = make_engine(max_rows=4)
    for index in range(6):
        engine.admit(an_order(a_spec(seed=index, steps=20), image_id=f"old-{index}", share=Share(1)))
    engine.step()
    engine.admit(an_order(image_id="new-0", share=Share(2)))
    assert "new-0" in progressed(engine)
    drop_all(engine, "new-0", *(f"old-{index}" for index in range(6)))


def test_a_newcomer_waits_for_one_decode_at_most(engine: Engine) -> None:
    for index in range(4):
        engine.admit(an_order(a_spec(seed=index, steps=2), image_id=f"old-{index}"))
    for _ in range(3):
        said = engine.step()
    assert isinstance(said[0], Finished), "the first of four is decoded"
    engine.admit(an_order(image_id="new-0", share=Share(2)))
    assert "new-0" in progressed(engine)
    assert sum(isinstance(end, Finished) for end in ends(run(engine)).values()) == 4


def test_a_cancel_takes_effect_before_the_next_step(engine: Engine) -> None:
    engine.admit(an_order(a_spec(steps=20)))
    engine.admit(an_order(a_spec(steps=20), image_id="b-0"))
    engine.step()
    engine.step()
    assert engine.cancel(Cancel(image_id="a-0", attempt=1)) == [Cancelled(image_id="a-0", attempt=1, evaluations=2)]
    assert progressed(engine) == {"b-0"}
    drop_all(engine, "b-0")
    assert engine.is_idle


def test_a_newcomers_first_step_and_a_cancel_wait_for_one_turn_at_most(make_engine: MakeEngine) -> None:
    """Both in the same turn, and the cancelled one sits in a full forward: its row is the newcomer's in the next."""
    engine = make_engine(max_rows=4)
    for index in range(2):
        engine.admit(an_order(a_spec(seed=index, steps=20), image_id=f"old-{index}", share=Share(1)))
    assert progressed(engine) == {"old-0", "old-1"}
    engine.admit(an_order(image_id="new-0", share=Share(2)))
    assert engine.cancel(Cancel(image_id="old-0", attempt=1)) == [Cancelled(image_id="old-0", attempt=1, evaluations=1)]
    assert progressed(engine) == {"old-1", "new-0"}
    drop_all(engine, "old-1", "new-0")
    assert engine.is_idle


def test_a_cancel_after_the_last_step_skips_the_decode(engine: Engine) -> None:
    engine.admit(an_order(a_spec(steps=2)))
    engine.step()
    engine.step()
    assert isinstance(engine.cancel(Cancel(image_id="a-0", attempt=1))[0], Cancelled)
    assert engine.step() == []


def test_a_cancel_for_another_attempt_is_not_for_this_one(engine: Engine) -> None:
    order = an_order(attempt=2)
    engine.admit(order)
    assert engine.cancel(Cancel(image_id="a-0", attempt=1)) == []
    assert isinstance(ends(run(engine))["a-0"], Finished)


def test_an_image_admitted_again_is_made_once(engine: Engine) -> None:
    said = run(engine, an_order(attempt=1), an_order(attempt=2))
    assert [event.attempt for event in said if isinstance(event, Finished)] == [2]


def test_guilds_step_by_weight_when_not_all_fit(make_engine: MakeEngine) -> None:
    """Two guilds with four images each, room for two: over time one is stepped three times as often."""
    engine = make_engine(max_rows=4)
    for index in range(4):
        for guild_id, weight in ((1, 3.0), (2, 1.0)):
            share = Share(guild_id, weight)
            engine.admit(an_order(a_spec(steps=100, seed=index), image_id=f"{guild_id}-{index}", share=share))
    steps = Counter(image_id[0] for _ in range(40) for image_id in progressed(engine))
    assert abs(steps["1"] - 3 * steps["2"]) <= 6
    drop_all(engine, *(f"{guild}-{index}" for guild in "12" for index in range(4)))


def test_pictures_of_two_sizes_take_turns(engine: Engine) -> None:
    engine.admit(an_order(a_spec(steps=20), image_id="square-0", share=Share(1)))
    engine.admit(an_order(a_spec(steps=20, width_px=96), image_id="wide-0", share=Share(2)))
    steps = [progressed(engine) for _ in range(10)]
    assert all(len(step) == 1 for step in steps), "one forward serves one size"
    counts = Counter(image_id for step in steps for image_id in step)
    assert counts["square-0"] >= counts["wide-0"] >= 3
    drop_all(engine, "square-0", "wide-0")


# What is painted.


def test_previews_are_as_many_as_asked_and_small(engine: Engine) -> None:
    said = run(engine, an_order(a_spec(steps=8), num_previews=2))
    previews = [event for event in said if isinstance(event, Preview)]
    assert len(previews) == 2
    with PillowImage.open(io.BytesIO(previews[0].jpeg)) as picture:
        assert max(picture.size) <= 64
    assert said.index(previews[0]) < said.index(previews[1]) < len(said) - 1


def test_no_preview_is_made_of_a_picture_that_is_about_to_be_done(make_engine: MakeEngine) -> None:
    """The preview would be replaced as soon as it is seen, and the picture would be later by what it costs."""
    said = run(make_engine(preview_ahead_s=60.0), an_order(a_spec(steps=8), num_previews=2))
    assert not any(isinstance(event, Preview) for event in said)
    assert isinstance(said[-1], Finished)


def test_a_preview_is_made_late_where_the_steps_become_slow(make_engine: MakeEngine) -> None:
    engine = make_engine(preview_ahead_s=60.0)
    engine.admit(an_order(a_spec(steps=8), image_id="a", num_previews=1))
    said = [event for _ in range(5) for event in engine.step()]
    assert not any(isinstance(event, Preview) for event in said)
    walk = engine._slots["a"].walk
    assert walk is not None
    walk.began_s -= 600.0  # six steps in ten minutes: the last two would take three
    assert any(isinstance(event, Preview) for event in engine.step())


def test_a_variation_interpolates_between_two_seeds(engine: Engine) -> None:
    ends_of = [as_array(paint(engine, an_order(a_spec(seed=seed)))) for seed in (1, 2)]
    slight = a_spec(seed=1, variation=Variation(seed=2, strength=0.05))
    full = a_spec(seed=1, variation=Variation(seed=2, strength=1.0))
    near = as_array(paint(engine, an_order(slight)))
    assert 0 < np.abs(near - ends_of[0]).mean() < np.abs(near - ends_of[1]).mean()
    assert np.abs(as_array(paint(engine, an_order(full))) - ends_of[1]).max() <= 1


def test_a_long_prompt_is_read_to_its_end(engine: Engine) -> None:
    short, long = "x" * 70, "x" * 70 + " " + "y" * 70
    assert paint(engine, an_order(a_spec(prompt=short))).pixels != paint(engine, an_order(a_spec(prompt=long))).pixels


def test_an_outpainted_picture_keeps_its_inside_to_the_byte(engine: Engine) -> None:
    """96 x 64 inside a canvas of 128 x 64: all of it is as it was but for a seam of 8 pixels on the right."""
    start = a_start(strength=1.0, margins=Margins(right=32))
    spec = a_spec(width_px=128, start=start)
    painted = as_array(paint(engine, an_order(spec)))
    inside = read_picture(a_picture(size_px=(96, 64)), (96, 64), name="it").astype(int)
    assert painted.shape == (64, 128, 3)
    assert np.array_equal(painted[:, :88], inside[:, :88])
    assert not np.array_equal(painted[:, 88:96], inside[:, 88:])
    other = as_array(paint(engine, an_order(a_spec(width_px=128, start=start, seed=6))))
    assert not np.array_equal(painted[:, 96:], other[:, 96:]), "the margin is painted, from the seed"


def test_the_margins_are_filled_from_the_edge_before_sampling() -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    picture[:, :16] = 200
    canvas = extend(picture, Margins(left=32, top=64))
    assert canvas.shape == (128, 96, 3)
    assert np.array_equal(canvas[64:, 32:], picture)
    assert canvas[96, 24, 0] > 100 and canvas[96, 0, 0] < 100, "the bright edge goes on, mirrored and blurred"


def test_hires_fix_keeps_the_picture_and_doubles_its_size(engine: Engine) -> None:
    small = as_array(paint(engine, an_order(a_spec(steps=8))))
    spec = a_spec(steps=8, hires=Hires(factor=1.5, strength=0.4))
    said = run(engine, an_order(spec, num_previews=1))
    large = ends(said)["a-0"]
    assert isinstance(large, Finished)
    assert (large.width_px, large.height_px) == (96, 96)
    assert Trace.parse(large.trace).num_evaluations == spec.num_evaluations == 8 + 3
    assert [event.total for event in said if isinstance(event, Progress)] == [11] * 11
    again = PillowImage.fromarray(as_array(large).astype(np.uint8)).resize((64, 64), PillowImage.Resampling.BOX)
    other = as_array(paint(engine, an_order(a_spec(steps=8, seed=99))))
    assert np.abs(np.asarray(again, int) - small).mean() < np.abs(np.asarray(again, int) - other).mean()


def test_an_enlargement_is_twice_the_picture(engine: Engine) -> None:
    spec = a_spec(upscale=Upscale(sha256="0" * 64))
    finished = paint(engine, an_order(spec, start_png=a_picture()))
    assert (finished.width_px, finished.height_px, finished.trace) == (128, 128, "")
    shrunk = PillowImage.fromarray(as_array(finished).astype(np.uint8)).resize((64, 64), PillowImage.Resampling.BOX)
    original = PillowImage.open(io.BytesIO(a_picture())).convert("RGB")
    assert np.abs(np.asarray(shrunk, int) - np.asarray(original, int)).mean() < 16


def test_an_upscaler_works_tile_by_tile_and_others_step_in_between(toy_folder: Path, tmp_path: Path) -> None:
    model = toy_model(toy_folder, upscaler=save_upscaler(tmp_path / "upscaler"))
    engine = Engine([model], EngineSettings(num_threads=1))
    spec = a_spec(width_px=96, upscale=Upscale(sha256="0" * 64))
    engine.admit(an_order(spec, start_png=a_picture(size_px=(96, 64))))
    engine.admit(an_order(a_spec(steps=20), image_id="other-0"))
    said: list[Any] = []
    while "a-0" not in ends(said):
        said += engine.step()
    assert sum(isinstance(event, Progress) for event in said) >= 1
    finished = ends(said)["a-0"]
    assert isinstance(finished, Finished)
    assert (finished.width_px, finished.height_px) == (192, 128)


def test_an_added_upscaler_enlarges_and_repeats_to_the_byte(toy_folder: Path, tmp_path: Path) -> None:
    file = TOYS["compact x4"].save(tmp_path / "toy.safetensors")
    upscaler = Upscaler(name="toy", path=file, sha256=digest_file(file), scale=4)
    model = toy_model(toy_folder, upscalers=(upscaler,))
    settings, start = EngineSettings(num_threads=1), a_picture(size_px=(96, 64))
    made = []
    for factor in (2, 4, 2):
        spec = a_spec(width_px=96, upscale=build_upscale(upscaler, "0" * 64, factor=factor))
        finished = paint(Engine([model], settings), an_order(spec, start_png=start))
        assert (finished.width_px, finished.height_px) == (96 * factor, 64 * factor)
        made.append(finished.pixels)
    assert made[0] == made[2]
    plain = a_spec(width_px=96, upscale=Upscale(sha256="0" * 64))
    resized = paint(Engine([model], settings), an_order(plain, start_png=start))
    assert resized.pixels != made[0], "unset stays a resize, as it was"


def test_an_upscaler_that_is_not_here_ends_its_own_picture(engine: Engine) -> None:
    network = UpscaleNetwork(name="gone", sha256="1" * 64)
    order = an_order(a_spec(upscale=Upscale(sha256="0" * 64, network=network)), start_png=a_picture())
    engine.admit(order)
    (failed,) = engine.step()
    assert isinstance(failed, ImageFailed)
    assert "gone" in failed.message


# What goes wrong.


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (an_order(a_spec(model="another")), "UnknownModel"),
        (an_order(a_spec(width_px=72, height_px=64, start=a_start())), "InvalidRequest"),
    ],
    ids=["no such model", "start picture of another size"],
)
def test_an_impossible_command_is_refused_by_its_value(engine: Engine, order: object, error: str) -> None:
    assert hasattr(order, "spec")
    spec = order.spec
    png = a_picture() if spec.start else None
    said = run(engine, an_order(spec, start_png=png), an_order(image_id="good-0"))
    bad, good = ends(said)["a-0"], ends(said)["good-0"]
    assert isinstance(bad, ImageFailed) and bad.error == error, bad
    assert isinstance(good, Finished)


def test_numbers_out_of_bounds_end_that_image_alone(engine: Engine) -> None:
    engine.admit(an_order(image_id="bad-0"))
    engine.admit(an_order(image_id="good-0"))
    engine.step()
    walk = engine._slots["bad-0"].walk
    assert walk is not None
    walk.latents = torch.full_like(walk.latents, float("nan"))
    said = ends(run(engine))
    assert isinstance(said["bad-0"], ImageFailed) and said["bad-0"].error == "NotFinite", "the name finds the sentence"
    good = said["good-0"]
    assert isinstance(good, Finished)
    assert good.pixels == paint(engine, an_order(replay=good.trace)).pixels


class NoRoom:
    """A UNet on a machine with room for `max_rows` rows, which no test machine can guarantee."""

    def __init__(self, denoise: Callable[..., torch.Tensor], max_rows: int) -> None:
        self._denoise = denoise
        self._max_rows = max_rows

    def __call__(self, latents: torch.Tensor, *rest: object) -> torch.Tensor:
        if latents.shape[0] > self._max_rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self._denoise(latents, *rest)


def engine_with_room_for(folder: Path, max_rows: int) -> Engine:
    engine = Engine([toy_model(folder)], EngineSettings(num_threads=1))
    family = engine._models.get("toy").family
    family.denoise = NoRoom(family.denoise, max_rows)  # type: ignore[method-assign, assignment]
    return engine


def test_out_of_memory_halves_the_bucket_and_everyone_ends(toy_folder: Path) -> None:
    engine = engine_with_room_for(toy_folder, 4)
    orders = [an_order(a_spec(seed=index), image_id=f"a-{index}") for index in range(8)]
    said = ends(run(engine, *orders))
    assert all(isinstance(end, Finished) for end in said.values()) and len(said) == 8
    assert {trace_of(end) for end in said.values()} == {"4x4"}


def test_an_image_that_does_not_fit_alone_says_so(toy_folder: Path) -> None:
    engine = engine_with_room_for(toy_folder, 1)
    said = ends(run(engine, an_order(image_id="guided-0"), an_order(a_spec(guidance=1.0), image_id="plain-0")))
    assert getattr(said["guided-0"], "error", "") == "OutOfMemory"
    assert "ATELIER_MEMORY=" in getattr(said["guided-0"], "message", "")
    assert isinstance(said["plain-0"], Finished)
