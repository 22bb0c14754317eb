"""The bound where several workers take from the line, and not all of them can take everything."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from itertools import combinations, count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.placement import Needs

ON_X, ON_BOTH, ON_Y = Needs(model="on x"), Needs(model="on both"), Needs(model="on y")
ABLE = {ON_X: ("x",), ON_BOTH: ("x", "y"), ON_Y: ("y",)}
CLASS_OF = {0: ON_X, 1: ON_X, 2: ON_BOTH, 3: ON_BOTH, 4: ON_Y}
"""What the images of each guild need."""
MAX_COST = 50
PAIRS = [(0, 1), (2, 3)]
"""Guilds that compete for the same workers."""


@dataclass
class Watch:
    """Drives a queue and measures the largest gap between two guilds of one class while both have images waiting."""

    queue: FairQueue
    weights: dict[int, float]
    waiting: Counter[int] = field(default_factory=Counter)
    ranges: dict[tuple[int, int], tuple[float, float, float]] = field(default_factory=dict)
    flying: list[Waiting] = field(default_factory=list)
    numbers: count = field(default_factory=count)  # type: ignore[type-arg]
    gap: float = 0.0

    def arrive(self, guild: int, cost: int, images: int) -> None:
        for _ in range(images):
            self.queue.push(Waiting(f"image{next(self.numbers)}", guild, 0, cost, needs=CLASS_OF[guild]))
        self.waiting[guild] += images

    def pick(self, free: str) -> None:
        """Have the next image taken, where the workers in `free` have room."""
        picked = self.queue.pick(lambda needs: next((each for each in ABLE[needs] if each in free), None))
        could = [guild for guild, left in self.waiting.items() if left and set(ABLE[CLASS_OF[guild]]) & set(free)]
        assert (picked is not None) == bool(could), "no worker idles while an image waits that it can take"
        if picked is not None:
            self.flying.append(picked)
            self.note(picked.guild_id, picked.cost / self.weights[picked.guild_id])
            self.waiting[picked.guild_id] -= 1

    def end_one(self) -> None:
        if self.flying:
            ended = self.flying.pop(0)
            self.queue.settle(ended.image_id, ended.cost)

    def note(self, guild: int, charged: float) -> None:
        for pair in PAIRS:
            if not (self.waiting[pair[0]] and self.waiting[pair[1]]):
                self.ranges.pop(pair, None)
            elif guild in pair:
                now, low, high = self.ranges.get(pair, (0.0, 0.0, 0.0))
                now += charged if guild == pair[0] else -charged
                self.ranges[pair] = (now, min(low, now), max(high, now))
                self.gap = max(self.gap, self.ranges[pair][2] - self.ranges[pair][1])


class OneLevel(FairQueue):
    """Ours, but who returns is lifted to the highest level of all workers."""

    def _find_level(self, needs: Needs) -> float:
        return max(self._levels.values(), default=self._base)


def watched(weights: dict[int, float], kind: type[FairQueue] = FairQueue) -> Watch:
    queue = kind(max_per_user=10**6, max_per_guild=10**6)
    queue.find_able = lambda needs: ABLE[needs]
    for guild, weight in weights.items():
        queue.set_weight(guild, weight)
    return Watch(queue, weights)


moves = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.sampled_from(sorted(CLASS_OF)), st.integers(1, MAX_COST), st.integers(1, 8)),
        st.tuples(st.just("pick"), st.sampled_from(["x", "y", "xy", "yx"]), st.integers(1, 6)),
        st.tuples(st.just("end"), st.integers(1, 6)),
    ),
    max_size=80,
)


def drive(watch: Watch, script: list[tuple]) -> float:  # type: ignore[type-arg]
    for name, *numbers in script:
        match name:
            case "arrive":
                watch.arrive(*numbers)
            case "pick":
                for _ in range(numbers[1]):
                    watch.pick(numbers[0])
            case "end":
                for _ in range(numbers[0]):
                    watch.end_one()
    return watch.gap


@settings(max_examples=150, deadline=None)
@given(moves, st.fixed_dictionaries({guild: st.sampled_from([0.1, 1.0, 3.0, 10.0]) for guild in CLASS_OF}))
def test_guilds_that_compete_for_the_same_workers_stay_within_the_bound(
    script: list,  # type: ignore[type-arg]
    weights: dict[int, float],
) -> None:
    assert drive(watched(weights), script) <= 2 * MAX_COST / min(weights.values()) * (1 + 1e-9)


def test_who_is_passed_over_keeps_its_place_and_is_charged_nothing() -> None:
    watch = watched(dict.fromkeys(CLASS_OF, 1.0))
    watch.arrive(0, 10, 1)
    watch.arrive(4, 10, 3)
    for _ in range(3):
        watch.pick("y")
    assert [each.guild_id for each in watch.flying] == [4, 4, 4], "nothing for x's guild, as x has no room"
    assert watch.queue.share_of(0) == (1.0, 0.0)
    watch.pick("xy")
    assert watch.flying[-1].guild_id == 0


@pytest.mark.parametrize(("kind", "is_level"), [(FairQueue, True), (OneLevel, False)])
def test_a_busy_worker_lifts_nobody_who_waits_for_another(kind: type[FairQueue], is_level: bool) -> None:
    """Worker x is little used; those who wait for it are level with each other, however much y has painted."""
    watch = watched(dict.fromkeys(CLASS_OF, 1.0), kind)
    watch.arrive(0, 10, 30)
    watch.pick("x")
    watch.arrive(4, 50, 40)
    for _ in range(40):
        watch.pick("y")
    watch.arrive(1, 10, 30)
    before = len(watch.flying)
    for _ in range(20):
        watch.pick("x")
    of_newcomer = sum(each.guild_id == 1 for each in watch.flying[before:])
    assert (of_newcomer in (9, 10, 11)) is is_level


@pytest.mark.parametrize("num_workers", [1, 2, 4, 8])
def test_the_bound_does_not_depend_on_the_number_of_workers(num_workers: int) -> None:
    """Floods of pictures of 50, 8 and 20 steps; each worker holds five, ends some at random, and takes the next."""
    drawn, weights, steps = random.Random(1), {0: 1.0, 1: 1.0, 2: 1.0, 3: 2.0}, {0: 50, 1: 8}
    queue = FairQueue(max_per_user=10**6, max_per_guild=10**6)
    for guild, weight in weights.items():
        queue.set_weight(guild, weight)
        for number in range(1500):
            queue.push(Waiting(f"{guild}-{number}", guild, 0, steps.get(guild, 20)))
    room, flying = Counter({f"w{number}": 5 for number in range(num_workers)}), list[tuple[str, Waiting]]()
    charged, ranges = Counter[int](), dict.fromkeys(combinations(weights, 2), (0.0, 0.0))
    for _ in range(1000):
        names = [name for name, free in room.items() if free]
        if names:
            name = drawn.choice(names)
            picked = queue.pick(lambda needs, to=name: to)
            assert picked is not None
            room[name] -= 1
            flying.append((name, picked))
            charged[picked.guild_id] += picked.cost / weights[picked.guild_id]  # type: ignore[assignment]
            for (f, g), (low, high) in ranges.items():
                gap = charged[f] - charged[g]
                ranges[f, g] = (min(low, gap), max(high, gap))
        if not names or drawn.random() < 0.5:
            name, ended = flying.pop(drawn.randrange(len(flying)))
            room[name] += 1
            queue.settle(ended.image_id, ended.cost)
    assert max(high - low for low, high in ranges.values()) <= 2 * 50
