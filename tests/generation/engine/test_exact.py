"""The promise of the engine: the trace decides the bytes, and nothing about the neighbours does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
import torch

from generation.engine.batch import Batch
from generation.engine.devices import Device
from generation.engine.engine import Engine
from generation.engine.slot import Slot
from generation.jobs.protocol import Finished, GenerateCommand, Share
from generation.requests.edits import Hires, Margins, Variation
from generation.requests.recipe import Trace
from tests.generation.engine.painting import FIVE_SAMPLERS, a_spec, a_start, an_order, as_array, ends, paint

MakeEngine = Callable[..., Engine]


def some_orders(rng: random.Random, number: int) -> Iterator[GenerateCommand]:
    """Return commands that differ in everything possible within one key, and in guild and weight."""
    outpainted = a_start(strength=1.0, margins=Margins(left=16))  # sits inside a canvas of everybody's size
    for index in range(number):
        start = rng.choice([None, None, a_start(strength=0.5), a_start(strength=1.0), a_start(mask=True), outpainted])
        spec = a_spec(
            prompt=rng.choice(["a red cat", "blue", "x y z", "[a red cat:blue:0.5]", "[x|[y:z:1]] a"]),
            syntax=3,
            sampler=rng.choice(FIVE_SAMPLERS),
            steps=rng.randint(2, 5),
            guidance=rng.choice([1.0, 3.0, 7.5]),
            seed=rng.randrange(2**32),
            start=start,
            variation=rng.choice([None, Variation(seed=9, strength=0.4)]),
            hires=Hires(factor=1.5) if start is None and rng.random() < 0.3 else None,
        )
        share = Share(rng.randrange(4), rng.choice([0.5, 1.0, 2.0]))
        yield an_order(spec, image_id=f"{rng.randrange(2**32)}-{index}", share=share)


def crowd(engine: Engine, orders: list[GenerateCommand], rng: random.Random) -> dict[str, Finished]:
    """Run the commands together, arriving at random moments."""
    waiting, finished = list(orders), {}
    while waiting or not engine.is_idle:
        if waiting and (engine.is_idle or rng.random() < 0.5):
            engine.admit(waiting.pop())
        for image_id, end in ends(engine.step()).items():
            assert isinstance(end, Finished), end
            finished[image_id] = end
    return finished


@pytest.mark.parametrize(("dtype", "seed"), [("float32", 0), ("float32", 1), ("float32", 2), ("bfloat16", 3)])
def test_replayed_alone_every_picture_of_a_crowd_has_the_same_bytes(
    make_engine: MakeEngine, dtype: str, seed: int
) -> None:
    engine, rng = make_engine(dtype=dtype), random.Random(seed)
    orders = list(some_orders(rng, 8))
    crowded = crowd(engine, orders, rng)
    for order in orders:
        alone = paint(engine, an_order(order.spec, replay=crowded[order.image_id].trace))
        assert alone.pixels == crowded[order.image_id].pixels, order.spec
        assert alone.trace == crowded[order.image_id].trace


def test_the_crowd_met_many_buckets(engine: Engine) -> None:
    """Without this, the test above would be empty if every image had run alone."""
    rng = random.Random(0)
    crowded = crowd(engine, list(some_orders(rng, 8)), rng)
    assert len({bucket for end in crowded.values() for bucket in Trace.parse(end.trace).buckets()}) >= 3


def test_a_replay_among_live_images_is_exact_too(engine: Engine) -> None:
    rng = random.Random(7)
    order = an_order(a_spec(sampler="Euler a", start=a_start()), image_id="first-0")
    first = crowd(engine, [order, *some_orders(rng, 5)], rng)["first-0"]
    again = an_order(order.spec, image_id="again-0", replay=first.trace)
    assert crowd(engine, [*some_orders(rng, 5), again], rng)["again-0"].pixels == first.pixels


@pytest.mark.parametrize("sampler", FIVE_SAMPLERS)
def test_rows_and_neighbours_do_not_matter(engine: Engine, sampler: str) -> None:
    """The same image in the first and the last rows of a full bucket, beside others."""
    others = [an_order(a_spec(seed=seed, sampler="DDIM", steps=5), image_id=f"n-{seed}") for seed in range(3)]
    probe = an_order(a_spec(sampler=sampler, steps=5), image_id="probe-0", share=Share(1))
    pixels = []
    for place in (0, 3):
        together = [*others[:place], probe, *others[place:]]
        for order in together:
            engine.admit(order)
        said = []
        while not engine.is_idle:
            said += engine.step()
        end = ends(said)["probe-0"]
        assert isinstance(end, Finished)
        pixels.append((end.trace, end.pixels))
    same_trace = pixels[0][0] == pixels[1][0]
    assert same_trace and pixels[0][1] == pixels[1][1]


def test_an_image_that_moves_by_one_row_and_back_takes_its_words_along(engine: Engine) -> None:
    """A neighbour of one row went and came again in front of it: found by `bench exact`, one picture in a hundred."""
    family = engine._models.get("toy").family
    guided, plain = Slot(an_order(), family, 1), Slot(an_order(a_spec(guidance=1.0)), family, 2)
    with torch.inference_mode():
        for slot in (guided, plain):
            slot.begin(torch.device("cpu"))
        assert guided.walk is not None
        words = guided.conditioning["encoder_hidden_states"]
        assert not torch.equal(words[0], words[1])
        batch = Batch(4, guided, Device(torch.device("cpu"), torch.float32, 1))
        for slots in ([plain, guided], [guided], [plain, guided]):
            batch.fill(slots)
            row = sum(slot.rows for slot in slots) - guided.rows
            assert torch.equal(batch.conditioning["encoder_hidden_states"][row : row + 2], words)


def test_another_bucket_is_other_bytes_somewhere(engine: Engine) -> None:
    """The control: without the trace, bytes differ. If this fails, traces are not needed on this machine."""
    differing = 0
    for seed in range(12):
        spec = a_spec(seed=seed, steps=5, sampler="Euler a", prompt="a b c d e f")
        alone = paint(engine, an_order(spec))
        padded = paint(engine, an_order(spec, replay="16x5"))
        differing += alone.pixels != padded.pixels
        assert abs(as_array(alone) - as_array(padded)).max() <= 3
    assert differing > 0


def test_another_process_history_gives_the_same_pixels(make_engine: MakeEngine) -> None:
    """Used buffers and warm caches have no effect."""
    worn, fresh = make_engine(), make_engine(num_cached_prompts=0)
    order = an_order(a_spec(sampler="DPM++ 2M SDE"))
    assert paint(worn, order).pixels == paint(fresh, order).pixels


def test_a_replay_is_charged_all_rows_of_its_forwards(engine: Engine) -> None:
    """Else a trace of large forwards takes many times the work of its neighbours at their price."""
    family = engine._models.get("toy").family
    usual = Slot(an_order(a_spec(steps=4)), family, 1)
    padded = Slot(an_order(a_spec(steps=4), replay="16x4"), family, 2)
    assert padded.charge == 8 * usual.charge


@pytest.mark.parametrize("replay", ["8x3", "1x4", "nonsense", "100x4"])
def test_a_trace_that_is_not_this_pictures_is_refused(engine: Engine, replay: str) -> None:
    engine.admit(an_order(replay=replay))
    end = ends(engine.step())["a-0"]
    assert getattr(end, "error", None) == "InvalidRequest"
