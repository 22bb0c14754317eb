"""Positions and waits in a queue that is too long to simulate."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from generation.jobs.job import Image, Job
from generation.owner import Owner
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.scheduling.active_jobs import ActiveJob, ActiveJobs
from generation.scheduling.dispatcher import make_waiting
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
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


def fill(queue: FairQueue, jobs: ActiveJobs, number: int) -> ActiveJob:
    """Put one more job in line and return it."""
    job = a_job(number)
    live_job = jobs.add(job)
    for live in live_job.images.values():
        queue.push(make_waiting(job, live.image))
    return live_job


async def test_a_newcomer_counts_as_the_last_until_places_are_worked_out_again() -> None:
    queue, jobs, now_s = FairQueue(max_per_user=NUMBER, max_per_guild=NUMBER), ActiveJobs(), 0.0
    forecast = WaitEstimates(jobs, queue, lambda: 0, clock=lambda: now_s)
    lives = [fill(queue, jobs, number) for number in range(NUMBER - 1)]
    forecast.refresh(lives[0], [], first=[])
    newcomer = fill(queue, jobs, NUMBER)
    forecast.refresh(newcomer, [], first=[])
    assert forecast.place(newcomer.images.keys()) == NUMBER - 1
    queue.cancel(next(iter(newcomer.images)))
    assert forecast.place(newcomer.images.keys()) is None, "it is in line no more"


async def test_newcomers_that_come_at_once_do_not_each_have_all_places_worked_out() -> None:
    """Working them out takes a moment here; it may take one part in fifty of the time."""
    rounds, now_s = 0, 0.0

    class CountingQueue(FairQueue):
        def forecast(self) -> Iterator[Waiting]:
            nonlocal rounds, now_s
            rounds, now_s = rounds + 1, now_s + 0.01
            return super().forecast()

    queue, jobs = CountingQueue(max_per_user=NUMBER), ActiveJobs()
    forecast = WaitEstimates(jobs, queue, lambda: 0, clock=lambda: now_s)
    for number in range(20):
        live_job = fill(queue, jobs, number)
        forecast.refresh(live_job, [], first=[])
        assert forecast.place(live_job.images.keys()) == number
    assert rounds == 1
    now_s += 0.3
    forecast.refresh(fill(queue, jobs, 20), [], first=[])
    assert rounds == 1
    now_s += 0.2
    forecast.refresh(fill(queue, jobs, 21), [], first=[])
    assert rounds == 2, "a newcomer in a short line, after a while"


async def test_the_waits_go_on_behind_those_that_are_played_through() -> None:
    """One member's line of equal pictures: each waits a little longer than the one before it, all the way."""
    queue, jobs, pace = FairQueue(max_per_user=NUMBER, max_per_guild=NUMBER), ActiveJobs(), Throughput()
    for number in range(NUMBER):
        fill(queue, jobs, number)
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
