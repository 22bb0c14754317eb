"""Wait estimates count generating alone, whatever else takes time, in any order, on a simulated clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.jobs.job import Image, Job
from generation.owner import Owner
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.active_jobs import ActiveJob, ActiveJobs
from generation.scheduling.dispatcher import make_waiting
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.throughput import Throughput
from generation.scheduling.wait_estimates import Station, WaitEstimates

STEPS, FORWARD_S = 10, 0.5
SPEC = ImageSpec(prompt="x", model="m", width_px=64, height_px=64, steps=STEPS, guidance=1.0, sampler="Euler", seed=1)
HELD_UP = ("", "paused", "lost", "suspended", "not written")
SHORT = ("loading", "tried again", "idle")
"""They are part of some waits, and must not become part of all."""


class Painter:
    """Generates one picture after the other, on its own clock, and reports progress as the dispatcher does."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.jobs, self.queue, self.pace = ActiveJobs(), FairQueue(), Throughput()
        self.forecast = WaitEstimates(
            self.jobs, self.queue, lambda: self.pace.num_interruptions, clock=lambda: self.now_s
        )
        self._number = 0

    def asks(self) -> ActiveJob:
        self._number += 1
        job_id = f"{self._number:022d}"
        image = Image(job_id=job_id, index=0, spec=SPEC, reserved=100)
        job = Job(
            id=job_id,
            owner=Owner(1, 1),
            request=GenerationRequest(spec=SPEC),
            created_at=datetime.now(UTC),
            images=(image,),
        )
        live_job = self.jobs.add(job)
        self.queue.push(make_waiting(job, image))
        return live_job

    def wait_s(self, live_job: ActiveJob) -> float | None:
        self.now_s += 2.0  # what was worked out before is old
        self.forecast.refresh(live_job, [Station("", (), 1, self.pace)], first=[])
        return self.forecast.wait_s(live_job.images.keys())

    def paint(self, live_job: ActiveJob, *, trouble: str = "", at: int = 0, seconds: float = 0.0) -> None:
        """Finish one picture; at step `at`, `trouble` delays it for so many seconds."""
        self.wait_s(live_job)
        (live,) = live_job.images.values()
        if trouble == "idle":
            self.now_s += seconds
            self.wait_s(live_job)
        self.queue.pick()
        self.pace.resumed(now_s=self.now_s)
        for step in range(STEPS):
            if step == at:
                self._held_up(trouble, seconds)
            self.now_s += FORWARD_S
            self.pace.progressed(live.image.id, 10.0, now_s=self.now_s)
        self.pace.paused()
        live.painted_at_s = self.now_s
        self.now_s += seconds if trouble == "not written" else 0.0
        self.queue.settle(live.image.id, 100)
        self.forecast.learn(live)
        self.jobs.remove(live_job.job.id)

    def _held_up(self, trouble: str, seconds: float) -> None:
        if trouble in ("paused", "lost"):
            self.pace.paused()
            self.pace.interrupted()
            self.now_s += seconds
            self.pace.interrupted()
            self.pace.resumed(now_s=self.now_s)
        elif trouble == "suspended":
            self.now_s += 61 + seconds
        elif trouble in SHORT[:2]:
            self.now_s += min(seconds, 30.0)


Trouble = tuple[str, int, float]


def troubles_of(kinds: tuple[str, ...]) -> st.SearchStrategy[Trouble]:
    return st.tuples(st.sampled_from(kinds), st.integers(0, STEPS - 1), st.floats(1.0, 5000.0))


LISTS = st.tuples(
    st.lists(troubles_of(HELD_UP), min_size=12, max_size=40), st.lists(troubles_of(SHORT), max_size=2)
).flatmap(lambda both: st.permutations([*both[0], *both[1]]))


@settings(max_examples=60, deadline=None)
@given(LISTS)
def test_interruptions_do_not_change_the_next_estimate(troubles: list[Trouble]) -> None:
    asyncio.run(paint_all(troubles))


async def paint_all(troubles: list[Trouble]) -> None:
    painter = Painter()
    for kind, at, seconds in troubles:
        painter.paint(painter.asks(), trouble=kind, at=at, seconds=seconds)
    assert painter.pace.estimate_forward_s([10.0]) == pytest.approx(FORWARD_S, rel=0.05)
    assert painter.pace.units_per_s == pytest.approx(10.0 / FORWARD_S, rel=0.05), "a short wait counts a little"
    assert painter.wait_s(painter.asks()) == pytest.approx(STEPS * FORWARD_S, rel=0.35), "as exact as it is told"


async def test_a_break_while_many_wait_is_not_learned() -> None:
    """All waited equally long through the break: that would count as usual."""
    painter = Painter()
    for _ in range(5):
        painter.paint(painter.asks())
    before = [(live_job, painter.wait_s(live_job)) for live_job in [painter.asks() for _ in range(40)]]
    painter.pace.interrupted()
    painter.now_s += 3600
    painter.pace.interrupted()
    for live_job, _ in before:
        painter.paint(live_job)
    after = [painter.wait_s(live_job) for live_job in [painter.asks() for _ in range(40)]]
    assert after == pytest.approx([wait_s for _, wait_s in before], rel=0.35)


def test_a_slower_worker_changes_the_estimate() -> None:
    pace, now_s = Throughput(), 0.0
    pace.resumed(now_s=now_s)
    for seconds in [0.1] * 96 + [1.0] * 96:
        now_s += seconds
        pace.progressed("x", 10.0, now_s=now_s)
    pace.paused()
    assert pace.estimate_forward_s([10.0]) == pytest.approx(1.0)
