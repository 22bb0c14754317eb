"""Who gets the machine? Simulated hours of floods, bursts and light guilds under three policies, ours among them.

One tick is one forward pass that advances up to `--forward` images by a step. Ours are the real parts: `FairQueue`
admits, the engine's `StepSchedule` steps. The peers are FIFO, what most bots do, and count round-robin, an image a
guild in turn (InvokeAI's way); both step what they admitted, oldest first.

Three guilds flood (50-, 20- and 10-step pictures), one comes in bursts, ten are light: a picture now and then.

Keys, for ours at the top level and for the peers under `fifo` and `round_robin`:
`gap`          the largest difference of service (image-steps over weight) between two guilds over any interval in
               which both had work
`bound`        what theory allows: twice the images of a forward times the largest charge over the smallest weight
`jain`         Jain's index over the flooding guilds' service by weight
`light_ratio`  a light guild's 95th percentile of waiting for a picture over what it takes alone, in steps
`throughput`   image-steps a tick, and for ours `throughput_vs_fifo`
The whole run is repeated with weights 0.1, 1 and 10: keys ending in `_weighted`.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Protocol

from generation.engine.schedule import StepSchedule
from generation.fair_queue import FairQueue, Waiting
from generation.order import Order, Share
from generation.request import ImageSpec

FLOODS = {1: 50, 2: 20, 3: 10}
BURST_GUILD, BURST_STEPS, BURST_IMAGES = 4, 30, 40
LIGHT = range(10, 20)
LIGHT_STEPS = 20
_ALWAYS_WAITING = 40


@dataclass(slots=True)
class Picture:
    """An image in the simulation; also what the engine's schedule must know of a resident."""

    image_id: str
    guild_id: int
    steps: int
    arrived: int
    order: Order
    serial: int = 0
    left: int = 0
    key: str = "one model, one shape"
    rows: int = 2
    charge: float = 1.0
    next_bucket: int | None = None


class Policy(Protocol):
    """Admission and stepping, as one way of sharing."""

    def arrive(self, picture: Picture) -> None: ...
    def tick(self) -> list[Picture]:
        """Advance: the pictures that got a step in this forward."""

    def backlogged(self) -> set[int]:
        """Guilds with anything waiting or resident."""


class Ours:
    """The parts of the real system, joined as the studio and the engine join them."""

    def __init__(self, forward: int, weights: Mapping[int, float]) -> None:
        self._queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
        self._schedule = StepSchedule()
        self._forward, self._slots = forward, 2 * forward
        self._waiting: dict[str, Picture] = {}
        self._residents: dict[str, Picture] = {}
        for guild_id, weight in weights.items():
            self._queue.set_weight(guild_id, weight)

    def arrive(self, picture: Picture) -> None:
        self._waiting[picture.image_id] = picture
        self._queue.push(Waiting(picture.image_id, picture.guild_id, 0, picture.steps))

    def tick(self) -> list[Picture]:
        while (waiting := self._next()) is not None:
            picture = self._residents[waiting.image_id] = self._waiting.pop(waiting.image_id)
            self._schedule.enter(picture)
        stepped = self._schedule.pick(self._residents.values(), lambda leader: 2 * self._forward)
        for picture in stepped:
            picture.left -= 1
            if picture.left == 0:
                del self._residents[picture.image_id]
                self._schedule.leave(picture)
                self._queue.settle(picture.image_id, picture.steps)
        return stepped

    def backlogged(self) -> set[int]:
        return {each.guild_id for each in (*self._waiting.values(), *self._residents.values())}

    def _next(self) -> Waiting | None:
        if len(self._residents) < self._slots:
            return self._queue.pick()
        return self._queue.pick_newcomer() if len(self._residents) < 2 * self._slots else None


class Fifo:
    """Oldest first, whoever asked."""

    def __init__(self, forward: int) -> None:
        self._forward = forward
        self._line: deque[Picture] = deque()
        self._residents: list[Picture] = []

    def arrive(self, picture: Picture) -> None:
        self._line.append(picture)

    def tick(self) -> list[Picture]:
        while len(self._residents) < self._forward and (picture := self._next()) is not None:
            self._residents.append(picture)
        stepped = list(self._residents)
        for picture in stepped:
            picture.left -= 1
        self._residents = [picture for picture in stepped if picture.left]
        return stepped

    def backlogged(self) -> set[int]:
        return {each.guild_id for each in (*self._line, *self._residents)}

    def _next(self) -> Picture | None:
        return self._line.popleft() if self._line else None


class CountRoundRobin(Fifo):
    """A picture a guild in turn, whatever it costs."""

    def __init__(self, forward: int) -> None:
        super().__init__(forward)
        self._lines: dict[int, deque[Picture]] = {}
        self._turns: deque[int] = deque()

    def arrive(self, picture: Picture) -> None:
        line = self._lines.setdefault(picture.guild_id, deque())
        if not line:
            self._turns.append(picture.guild_id)
        line.append(picture)

    def backlogged(self) -> set[int]:
        return {*self._turns, *(each.guild_id for each in self._residents)}

    def _next(self) -> Picture | None:
        if not self._turns:
            return None
        guild_id = self._turns.popleft()
        picture = self._lines[guild_id].popleft()
        if self._lines[guild_id]:
            self._turns.append(guild_id)
        return picture


@dataclass(slots=True)
class Record:
    """What a run is judged by."""

    service: dict[int, float] = field(default_factory=dict)
    gap: float = 0.0
    light_waits: list[int] = field(default_factory=list)
    steps: int = 0
    ranges: dict[tuple[int, int], tuple[float, float, float]] = field(default_factory=dict)
    """Per pair: its difference now, and the least and greatest since both began to have work."""


def simulate(policy: Policy, ticks: int, weights: Mapping[int, float], seed: int) -> Record:
    """Run a policy through the arrivals of `seed`, the same for every policy."""
    record, source = Record(), Arrivals(seed, weights)
    busy_before: set[int] = set()
    for now in range(ticks):
        for picture in source.at(now):
            policy.arrive(picture)
        served: dict[int, float] = {}
        for picture in policy.tick():
            served[picture.guild_id] = served.get(picture.guild_id, 0.0) + 1 / weights.get(picture.guild_id, 1.0)
            record.steps += 1
            if picture.left == 0:
                source.ended(picture)
                if picture.guild_id in LIGHT:
                    record.light_waits.append(now + 1 - picture.arrived)
        for guild_id, steps in served.items():
            record.service[guild_id] = record.service.get(guild_id, 0.0) + steps
        busy = policy.backlogged()
        _note_gaps(record, served, busy & busy_before & (FLOODS.keys() | {BURST_GUILD}))
        busy_before = busy
    return record


def _note_gaps(record: Record, served: Mapping[int, float], busy: set[int]) -> None:
    for pair in combinations(sorted(FLOODS.keys() | {BURST_GUILD}), 2):
        if not busy.issuperset(pair):
            record.ranges.pop(pair, None)
            continue
        now, low, high = record.ranges.get(pair, (0.0, 0.0, 0.0))
        now += served.get(pair[0], 0.0) - served.get(pair[1], 0.0)
        low, high = min(low, now), max(high, now)
        record.ranges[pair] = (now, low, high)
        record.gap = max(record.gap, high - low)


class Arrivals:
    """The same people for every policy: floods keep their line long, bursts and light guilds come by the clock."""

    def __init__(self, seed: int, weights: Mapping[int, float]) -> None:
        self._chance = random.Random(seed)
        self._weights = weights
        self._number = 0
        self._waiting = dict.fromkeys(FLOODS, 0)
        self._next_burst = 500
        self._next_light = {guild_id: self._chance.randrange(600) for guild_id in LIGHT}

    def at(self, now: int) -> list[Picture]:
        arrived = [
            self._picture(guild, steps, now) for guild, steps in FLOODS.items() for _ in range(self._room(guild))
        ]
        if now == self._next_burst:
            arrived += [self._picture(BURST_GUILD, BURST_STEPS, now) for _ in range(BURST_IMAGES)]
            self._next_burst += self._chance.randrange(1500, 4000)
        for guild_id in LIGHT:
            if now == self._next_light[guild_id]:
                arrived.append(self._picture(guild_id, LIGHT_STEPS, now))
                self._next_light[guild_id] += self._chance.randrange(200, 1000)
        return arrived

    def ended(self, picture: Picture) -> None:
        if picture.guild_id in FLOODS:
            self._waiting[picture.guild_id] -= 1

    def _room(self, guild_id: int) -> int:
        missing = _ALWAYS_WAITING - self._waiting[guild_id]
        self._waiting[guild_id] += missing
        return missing

    def _picture(self, guild_id: int, steps: int, now: int) -> Picture:
        self._number += 1
        weight = self._weights.get(guild_id, 1.0)
        name = f"image{self._number}"
        order = Order(image_id=name, attempt=1, spec=_SPEC, share=Share(guild_id, weight))
        return Picture(name, guild_id, steps, now, order, serial=self._number, left=steps)


_SPEC = ImageSpec(prompt="-", model="-", width_px=512, height_px=512, steps=20, guidance=7.0, sampler="Euler", seed=0)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench fairness", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--ticks", type=int, default=60_000, help="forwards to simulate (0.2 s each: 3 h 20 min)")
    parser.add_argument("--forward", type=int, default=8, help="images in one forward")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    figures = _compare(options.ticks, options.forward, options.seed)
    if not options.json:
        for name, value in figures.items():
            print(f"{name:24} {value}")
    print(json.dumps(figures))
    return 0


def _compare(ticks: int, forward: int, seed: int) -> dict[str, object]:
    even = dict.fromkeys(FLOODS, 1.0)
    uneven = {1: 0.1, 2: 1.0, 3: 10.0}
    largest = max(FLOODS.values())
    ours = _figures(lambda: Ours(forward, even), ticks, even, seed)
    weighted = _figures(lambda: Ours(forward, uneven), ticks, uneven, seed)
    fifo = _figures(lambda: Fifo(forward), ticks, even, seed)
    round_robin = _figures(lambda: CountRoundRobin(forward), ticks, even, seed)
    return {
        **ours,
        "bound": 2.0 * forward * largest,
        "throughput_vs_fifo": round(ours["throughput"] / fifo["throughput"], 4),
        **{f"{name}_weighted": value for name, value in weighted.items()},
        "bound_weighted": 2.0 * forward * largest / min(uneven.values()),
        "fifo": fifo,
        "round_robin": round_robin,
    }


def _figures(build: Callable[[], Policy], ticks: int, weights: Mapping[int, float], seed: int) -> dict[str, float]:
    record = simulate(build(), ticks, weights, seed)
    shares = [record.service.get(guild_id, 0.0) for guild_id in FLOODS]
    jain = sum(shares) ** 2 / (len(shares) * sum(share**2 for share in shares))
    waits = sorted(record.light_waits)
    p95 = waits[int(0.95 * (len(waits) - 1))] if waits else float("inf")
    return {
        "gap": round(record.gap, 2),
        "jain": round(jain, 5),
        "light_ratio": round(p95 / LIGHT_STEPS, 3),
        "throughput": round(record.steps / ticks, 4),
    }
