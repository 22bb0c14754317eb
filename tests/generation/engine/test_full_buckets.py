"""A full bucket is taken before a larger one in part, where that gets more done."""

from __future__ import annotations

from pathlib import Path

import pytest

from generation.engine.buckets import Shape
from generation.engine.engine import Engine
from generation.engine.slot import Slot, Traits
from generation.jobs.protocol import Finished
from generation.workers.engine_settings import EngineSettings
from tests.generation.engine.painting import a_spec, an_order, ends, paint, run
from tests.generation.engine.test_buckets import buckets
from tests.generation.engine.toy import toy_model

STEEP = {1: 1.0, 2: 1.7, 4: 2.8, 8: 5.2, 16: 10.0}
"""Seconds where every row costs its part."""
FLAT = {1: 1.0, 2: 1.0, 4: 1.1, 8: 1.2, 16: 1.4}


@pytest.mark.parametrize(
    ("seconds", "waiting", "bucket"),
    [
        *(
            (STEEP, rows, bucket)
            for rows, bucket in {2: 16, 3: 16, 5: 4, 6: 4, 7: 16, 8: 16, 10: 8, 12: 8, 15: 16}.items()
        ),
        *((STEEP, rows, 16) for rows in (16, 17, 40)),
        *((FLAT, rows, 16) for rows in (3, 5, 9, 10, 16)),
        ({}, 10, 16),
        ({1: 1.0, 2: 1.7, 4: 2.8}, 5, 16),
    ],
)
def test_a_full_bucket_is_taken_before_a_larger_one_in_part(
    engine: Engine, tmp_path: Path, seconds: dict[int, float], waiting: int, bucket: int
) -> None:
    """Where that gets more done. The limit is 16, so 16 stands for “as many as there are”."""
    known = buckets(tmp_path / "measured.json")
    slot = Slot(an_order(a_spec()), engine._models.get("toy").family, 1, traits=Traits(network="sd"))
    known.keep(Shape.of("sd", slot.size_px), 16, seconds)
    assert known.find_largest_bucket(slot, waiting) == bucket
    again = buckets(tmp_path / "measured.json")
    assert again.find_largest_bucket(slot, waiting) == bucket, "after a start"


def test_who_is_left_out_of_a_full_forward_leads_the_next(toy_folder: Path, tmp_path: Path) -> None:
    """Three guided pictures on a machine where four rows are full, and every row costs its part."""
    file = tmp_path / "measured.json"
    settings = EngineSettings(num_threads=1, dtype="float32", measured=str(file), num_slots=8)
    engine = Engine([toy_model(toy_folder)], settings)
    loaded = engine._models.get("toy")
    orders = [an_order(a_spec(seed=seed, steps=4), image_id=f"{seed}-0") for seed in (5, 6, 7)]
    engine._buckets.keep(Shape.of(loaded.network, (64, 64)), 16, STEEP)
    together = ends(run(engine, *orders))
    assert engine.rows_run == engine.rows_owned, "no row was empty"
    for order in orders:
        shared = together[order.image_id]
        assert isinstance(shared, Finished)
        again = paint(engine, an_order(order.spec, image_id=order.image_id, replay=shared.trace))
        assert again.pixels == shared.pixels
