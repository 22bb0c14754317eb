"""Measures how accurate wait estimates are: a simulated busy day, every job judged at the moment it was submitted.

A day of 24 hours with a quiet night and a rush in the evening, a dozen guilds of different size, one of which floods
for an hour, jobs of one to four pictures of 10 to 40 steps. The real `FairQueue` and the engine's `StepSchedule` run
it forward by forward; the estimate is the service's own arithmetic (`Throughput`, `play`, `WaitCorrection`), which
sees nothing
but what the bot sees: the reports of progress. A forward takes a fixed part and a part for each image, give or take a
tenth; each end takes a while too.

Keys: `within` is the part of the jobs whose estimate was within max(30 %, 2 s) of what happened (to be at least 0.9);
`within_quiet` and `within_crowded` the same for jobs that came while less, or more, was in line than the worker's
slots; `median_ratio` of told to waited; `jobs`, `load` (part of the day the worker was at work). The peer, under
`work_over_rate`, is the usual estimate: everything ahead, divided by the recent speed.

With `--futures N`, one job in `--every` is let happen N more times from the same state, each time with other people
coming after it. `ceiling` is how often the best single answer, chosen afterwards, would have been right for those:
no estimate can be right more often, for it cannot know which future comes. `within_sampled` is ours for the same jobs.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench._sharing import NEWCOMER_FACTOR
from generation.jobs.protocol import GenerateCommand, Share
from generation.requests.spec import ImageSpec
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.step_schedule import StepSchedule
from generation.scheduling.throughput import Throughput
from generation.scheduling.wait_simulation import Ahead, Company, Server, WaitCorrection, play, tolerance_s

SEATS, SLOTS = 8, 16
MACHINES = {"fast": (0.02, 0.01, 0.02, 1.1), "home": (0.06, 0.05, 0.08, 0.24)}
"""Seconds of a forward, of each image in it, of each end, and the jobs a second that keep such a machine busy.

`fast` is of a size with a data-centre card and Stable Diffusion 1.5 at 512 pixels, `home` with a good card at home.
"""
UNITS_A_STEP = 2000
HOUR_S = 3600.0
GUILDS = {guild_id: 1.0 / (1 + guild_id) for guild_id in range(12)}
"""How much each guild asks for, relative to the others."""
_ALONE = Company(0, 0)
FLOOD_GUILD, FLOOD_HOURS = 5, (14.0, 15.0)


@dataclass(slots=True, eq=False)
class Picture:
    image_id: str
    job: Job
    steps: int
    order: GenerateCommand
    serial: int
    left: int
    key: str = "one model, one shape"
    rows: int = 2
    charge: float = float(UNITS_A_STEP)
    next_bucket: int | None = None


@dataclass(slots=True, eq=False)
class Job:
    guild_id: int
    user_id: int
    submitted_s: float
    num_left: int
    num_in_line: int = 0
    played_s: float | None = None
    company: Company = _ALONE
    told_s: float | None = None
    peers_s: float | None = None
    futures_s: list[float] = field(default_factory=list)
    """How long it waited in other futures of the moment of its submission."""


def is_right(told_s: float, waited_s: float) -> bool:
    return abs(told_s - waited_s) <= tolerance_s(waited_s)


def best_answer_right(futures_s: Sequence[float]) -> float:
    """Return the part of these waits for which one answer, the best, would have been right."""
    answers = {edge for wait_s in futures_s for edge in (wait_s + tolerance_s(wait_s), wait_s)}
    return max(sum(is_right(answer, wait_s) for wait_s in futures_s) for answer in answers) / len(futures_s)


@dataclass(slots=True)
class Score:
    good: int = 0
    all: int = 0
    ratios: list[float] = field(default_factory=list)

    def judge(self, told_s: float, waited_s: float) -> None:
        self.all += 1
        self.good += is_right(told_s, waited_s)
        self.ratios.append(told_s / waited_s)

    @property
    def within(self) -> float:
        return round(self.good / self.all, 4) if self.all else 1.0


class Day:
    """The service and the engine, simulated, and the users of one day."""

    def __init__(self, seed: int, machine: str, *, num_futures: int = 0, every: int = 100) -> None:
        self._chance = random.Random(seed)
        self._num_futures, self._every, self._num_jobs = num_futures, every, 0
        self._fixed_s, self._image_s, self._end_s, self._busyness = MACHINES[machine]
        self._queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
        self._schedule = StepSchedule()
        self._pictures: dict[str, Picture] = {}
        self._residents: dict[str, Picture] = {}
        self._pace, self._experience = Throughput(), WaitCorrection()
        self._number = 0
        self.now_s = self.worked_s = 0.0
        self.ours, self.quiet, self.crowded, self.peer = Score(), Score(), Score(), Score()
        self.sampled = Score()
        self.ceilings: list[float] = []

    def run(self, until_s: float, *, until_done: Job | None = None) -> None:
        next_s = self._next_arrival()
        while self.now_s < until_s and (until_done is None or until_done.num_left):
            while next_s <= self.now_s:
                self._submit(next_s)
                next_s += self._chance.expovariate(self._rate(next_s))
            self._admit()
            if not self._residents:
                self._pace.paused()
                self.now_s = next_s
                continue
            self._forward()

    def _next_arrival(self) -> float:
        return self.now_s + self._chance.expovariate(self._rate(self.now_s))

    def _rate(self, now_s: float) -> float:
        """Return the jobs per second: a quiet night, a peak around eight in the evening."""
        hour = now_s / HOUR_S % 24
        tide = 0.15 + 0.85 * max(0.0, math.sin(math.pi * (hour - 6) / 18)) + 0.5 * math.exp(-((hour - 20) ** 2) / 2)
        flood = 0.25 if FLOOD_HOURS[0] <= hour < FLOOD_HOURS[1] else 0.0
        return self._busyness * (tide + flood)

    def _submit(self, at_s: float) -> None:
        hour = at_s / HOUR_S % 24
        guild_id = self._chance.choices(list(GUILDS), list(GUILDS.values()))[0]
        if FLOOD_HOURS[0] <= hour < FLOOD_HOURS[1] and self._chance.random() < 0.4:
            guild_id = FLOOD_GUILD
        job = Job(guild_id, self._chance.randrange(6), self.now_s, self._chance.choice((1, 1, 2, 4, 4)))
        job.num_in_line = len(self._queue)
        steps = self._chance.choice((10, 20, 20, 20, 30, 40))
        for _ in range(job.num_left):
            self._push(job, steps)
        self._tell(job)
        self._num_jobs += 1
        if self._num_futures and self._num_jobs % self._every == 0:
            job.futures_s = [self._future_s(job, number) for number in range(self._num_futures)]

    def _future_s(self, job: Job, number: int) -> float:
        """Return how long the job waits if, from now on, other users come."""
        day, same = copy.deepcopy((self, job), {id(score): Score() for score in self._scores()})
        day._chance, day._num_futures = random.Random(f"{self._num_jobs} {number}"), 0
        day.run(math.inf, until_done=same)
        return day.now_s - same.submitted_s

    def _scores(self) -> tuple[Score, ...]:
        return (self.ours, self.quiet, self.crowded, self.peer, self.sampled)

    def _push(self, job: Job, steps: int) -> None:
        self._number += 1
        name = f"image{self._number}"
        order = GenerateCommand(image_id=name, attempt=1, spec=_SPEC, share=Share(job.guild_id, user_id=job.user_id))
        self._pictures[name] = Picture(name, job, steps, order, self._number, steps)
        self._queue.push(Waiting(name, job.guild_id, job.user_id, steps * UNITS_A_STEP))

    def _tell(self, job: Job) -> None:
        making = [_ahead(picture) for picture in self._residents.values()]
        line = [_ahead(self._pictures[waiting.image_id]) for waiting in self._queue.forecast()]
        units = sum(each.units * each.left for each in (*making, *line))
        company = Company.of(making, job.guild_id)
        mine = [each.image_id for each in line if self._pictures[each.image_id].job is job]
        ends = play([Server(making=making, slots=SLOTS, pace=self._pace)], line)
        if not ends:
            return
        job.played_s = max(ends[image_id] for image_id in mine)
        job.company = company
        job.told_s = self._experience.corrected(job.played_s, company)
        job.peers_s = units / (self._pace.units_per_s or 1.0)

    def _admit(self) -> None:
        while (waiting := self._next()) is not None:
            picture = self._residents[waiting.image_id] = self._pictures[waiting.image_id]
            self._schedule.enter(picture)

    def _next(self) -> Waiting | None:
        if len(self._residents) < SLOTS:
            return self._queue.pick()
        return self._queue.pick_newcomer() if len(self._residents) < NEWCOMER_FACTOR * SLOTS else None

    def _forward(self) -> None:
        self._pace.resumed(now_s=self.now_s)
        stepped = self._schedule.pick(self._residents.values(), lambda leader: 2 * SEATS)
        ending = sum(picture.left == 1 for picture in stepped)
        took_s = (self._fixed_s + self._image_s * len(stepped)) * self._chance.uniform(0.9, 1.1)
        self.now_s += took_s
        self.worked_s += took_s + ending * self._end_s
        for picture in stepped:
            picture.left -= 1
            self._pace.progressed(picture.image_id, UNITS_A_STEP, now_s=self.now_s)
        self.now_s += ending * self._end_s
        for picture in stepped:
            if picture.left == 0:
                self._end(picture)

    def _end(self, picture: Picture) -> None:
        del self._residents[picture.image_id], self._pictures[picture.image_id]
        self._schedule.leave(picture)
        self._queue.settle(picture.image_id, picture.steps * UNITS_A_STEP)
        job = picture.job
        job.num_left -= 1
        if job.num_left or job.told_s is None or job.played_s is None or job.peers_s is None:
            return
        waited_s = self.now_s - job.submitted_s
        self._experience.learn(job.played_s, job.company, waited_s)
        self.ours.judge(job.told_s, waited_s)
        self.peer.judge(job.peers_s, waited_s)
        (self.crowded if job.num_in_line > SLOTS else self.quiet).judge(job.told_s, waited_s)
        if job.futures_s:
            self.sampled.judge(job.told_s, waited_s)
            self.ceilings.append(best_answer_right(job.futures_s))


def _ahead(picture: Picture) -> Ahead:
    job = picture.job
    return Ahead(picture.image_id, job.guild_id, job.user_id, 1.0, float(UNITS_A_STEP), float(picture.left))


_SPEC = ImageSpec(prompt="-", model="-", width_px=512, height_px=512, steps=20, guidance=7.0, sampler="Euler", seed=0)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench waits", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--start", type=float, default=0.0, help="hour of the day to begin at")
    parser.add_argument("--hours", type=float, default=24.0, help="how long")
    parser.add_argument("--machine", choices=MACHINES, default="fast", help="how fast the worker is")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--futures", type=int, default=0, help="other futures tried of a sampled job; 0: no ceiling")
    parser.add_argument("--every", type=int, default=100, help="sample one job in so many")
    options = parser.parse_args(argv)
    day = Day(options.seed, options.machine, num_futures=options.futures, every=options.every)
    day.now_s = options.start * HOUR_S
    day.run((options.start + options.hours) * HOUR_S)
    figures = {
        "within": day.ours.within,
        "within_quiet": day.quiet.within,
        "within_crowded": day.crowded.within,
        "median_ratio": _median(day.ours.ratios),
        "jobs": day.ours.all,
        "jobs_crowded": day.crowded.all,
        "load": round(day.worked_s / (day.now_s - options.start * HOUR_S), 3),
        "work_over_rate": {"within": day.peer.within, "median_ratio": _median(day.peer.ratios)},
    }
    if day.ceilings:
        figures["ceiling"] = round(sum(day.ceilings) / len(day.ceilings), 4)
        figures["within_sampled"], figures["jobs_sampled"] = day.sampled.within, day.sampled.all
    if not options.json:
        for name, value in figures.items():
            print(f"{name:20} {value}")
    print(json.dumps(figures))
    return 0


def _median(values: list[float]) -> float:
    return round(sorted(values)[len(values) // 2], 3) if values else 1.0
