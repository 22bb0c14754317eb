"""Positions and waits in a queue that is too long to simulate."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from generation.jobs.job import Image, Job
from generation.owner import Owner
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.active_jobs import ActiveJob, ActiveJobs
from generation.scheduling.dispatcher import make_waiting
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.throughput import Throughput
from generation.scheduling.wait_estimates import Station, WaitEstimates
from generation.scheduling.wait_simulation import MAX_PLAYED

SPEC = ImageSpec(prompt="x", model="m", width_px=64, height_px=64, steps=10, guidance=1.0, sampler="Euler", seed=1)
NUMBER = 2 * MAX_PLAYED


def a_job(number: int) -> Job:
    job_id = f"{number:022d}"
    image = Image(job_id=job_id, index=0, spec=SPEC, reserved=100)
    request, now = GenerationRequest(spec=SPEC), datetime.now(UTC)
    return Job(id=job_id, owner=Owner(1, 1), request=request, created_at=now, images=(image,))


async def test_the_waits_go_on_behind_those_that_are_played_through() -> None:
    """One member's line of equal pictures: each waits a little longer than the one before it, all the way."""
    queue, jobs, pace = FairQueue(max_per_user=NUMBER, max_per_guild=NUMBER), ActiveJobs(), Throughput()
    for number in range(NUMBER):
        job = a_job(number)
        for live in jobs.add(job).images.values():
            queue.push(make_waiting(job, live.image))
    now_s = time.monotonic()
    for step in range(50):
        pace.progressed("x", 80, now_s=now_s + step * 0.1)
    forecast = WaitEstimates(jobs, queue, lambda: pace.num_interruptions)

    def wait_s(live_job: ActiveJob) -> float:
        forecast.refresh(live_job, [Station("", (), 8, pace)], first=[])
        found = forecast.wait_s(live_job.images.keys())
        assert found is not None
        return found

    lives = list(jobs)
    waits = [wait_s(live) for live in lives]
    assert waits == sorted(waits)
    assert [forecast.place(live.images.keys()) for live in lives] == list(range(NUMBER))
    assert waits[-1] == pytest.approx(2 * waits[MAX_PLAYED - 1], rel=0.1)
