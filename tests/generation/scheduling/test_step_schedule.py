"""Fair stepping as arithmetic: no tensors, hundreds of forwards, and a control that must fail."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from generation.jobs.protocol import GenerateCommand, Share
from generation.scheduling.fair_counters import FairCounters
from generation.scheduling.step_schedule import StepSchedule
from tests.generation.engine.painting import a_spec, an_order

ROWS = 8


@dataclass(eq=False)
class Resident:
    order: GenerateCommand
    serial: int
    key: str
    rows: int = 2
    charge: float = 1.0
    next_bucket: int | None = None


@dataclass
class Harness:
    """Guilds that always have `depth` images resident; counts the service of each."""

    quantum: float = 0.0
    swap_charge: float = 0.0
    schedule: StepSchedule = field(init=False)
    residents: list[Resident] = field(default_factory=list)
    served: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    serials: count = field(default_factory=count)  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        self.schedule = StepSchedule(quantum=self.quantum, price_swap=lambda leader: self.swap_charge)

    def add(
        self,
        guild_id: int,
        *,
        user_id: int = 0,
        weight: float = 1.0,
        key: str = "square",
        model: str = "toy",
        **options: float,
    ) -> Resident:
        name, share = f"{next(self.serials)}", Share(guild_id, weight, user_id=user_id)
        order = an_order(a_spec(model=model), image_id=name, share=share)
        resident = Resident(order, int(order.image_id), key, **options)  # type: ignore[arg-type]
        self.schedule.enter(resident)
        self.residents.append(resident)
        return resident

    def step(self) -> list[Resident]:
        picked = self.schedule.pick(self.residents, lambda leader: ROWS)
        for resident in picked:
            self.served[resident.order.share.guild_id] += resident.charge / resident.order.share.weight
        return picked


def widest_gap(harness: Harness, steps: int) -> float:
    """The largest change, over any interval, of the difference in normalised service between two guilds."""
    guilds = sorted({resident.order.share.guild_id for resident in harness.residents})
    lowest: dict[Any, float] = defaultdict(float)
    highest: dict[Any, float] = defaultdict(float)
    widest = 0.0
    for _ in range(steps):
        harness.step()
        for first in guilds:
            for second in guilds:
                gap = harness.served[first] - harness.served[second]
                lowest[first, second] = min(lowest[first, second], gap)
                highest[first, second] = max(highest[first, second], gap)
                widest = max(widest, highest[first, second] - lowest[first, second])
    return widest


def backlogged(quantum: float, *, keys: tuple[str, ...], weights: tuple[float, ...]) -> Harness:
    """More images of each guild than a forward holds, so that no seat is ever left for want of others."""
    harness = Harness(quantum)
    for guild_id, weight in enumerate(weights):
        for index in range(2 * ROWS):
            harness.add(guild_id, weight=weight, key=keys[(guild_id + index) % len(keys)], charge=1.0)
    return harness


@pytest.mark.parametrize("keys", [("square",), ("square", "wide")], ids=["one key", "two keys"])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.1, 1.0, 10.0)], ids=["equal", "0.1 to 10"])
@pytest.mark.parametrize("quantum", [0.0, 20.0])
def test_the_gap_stays_within_the_stated_bound(
    keys: tuple[str, ...], weights: tuple[float, ...], quantum: float
) -> None:
    harness = backlogged(quantum, keys=keys, weights=weights)
    images_per_forward = ROWS // 2
    assert widest_gap(harness, 600) <= 2 * (images_per_forward / min(weights) + images_per_forward + quantum)


def test_first_come_first_served_breaks_the_bound() -> None:
    """The control: the same guilds, always the oldest images."""
    harness = backlogged(0.0, keys=("square",), weights=(1.0, 1.0, 1.0))
    harness.schedule.pick = (  # type: ignore[method-assign]
        lambda residents, max_rows, *, may_lead=None: list(residents)[: ROWS // 2]  # type: ignore[assignment]
    )
    assert widest_gap(harness, 600) > 2 * (ROWS // 2)


def test_a_leader_that_may_not_run_now_is_waited_for_and_not_charged() -> None:
    harness = backlogged(0.0, keys=("square", "wide"), weights=(1.0, 1.0))
    waiting = list(harness.residents)
    assert harness.schedule.pick(waiting, lambda leader: ROWS, may_lead=lambda leader: False) == []
    leader = harness.schedule.pick(waiting, lambda leader: ROWS)[0]
    again = backlogged(0.0, keys=("square", "wide"), weights=(1.0, 1.0))
    assert again.schedule.pick(list(again.residents), lambda leader: ROWS)[0].serial == leader.serial


def test_a_newcomer_leads_the_next_forward_whatever_its_order_carries() -> None:
    harness = backlogged(0.0, keys=("square",), weights=(1.0, 1.0))
    for _ in range(50):
        harness.step()
    newcomer = harness.add(7, weight=0.1)
    assert harness.step()[0] is newcomer


def test_absence_earns_no_credit() -> None:
    harness = Harness()
    for _ in range(ROWS):
        harness.add(1)
    for _ in range(100):
        harness.step()
    for _ in range(ROWS):
        harness.add(2)
    steps = [sum(resident.order.share.guild_id == 2 for resident in harness.step()) for _ in range(20)]
    assert sum(steps) <= 20 * ROWS // 2 // 2 + ROWS // 2


def trickle_then_flood(harness: Harness) -> int:
    """How many of 10 forwards' 40 seats a guild gets that had one image resident for long, then many, beside two."""
    for guild_id in (1, 2):
        for _ in range(ROWS):
            harness.add(guild_id)
    harness.add(3)
    for _ in range(200):
        harness.step()
    for _ in range(ROWS):
        harness.add(3)
    return sum(resident.order.share.guild_id == 3 for _ in range(10) for resident in harness.step())


def test_having_asked_for_little_earns_no_credit() -> None:
    assert trickle_then_flood(Harness()) <= 40 // 3 + ROWS // 2


def test_without_the_lift_of_the_content_the_same_check_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FairCounters, "level", lambda *_, **__: None)
    assert trickle_then_flood(Harness()) > 40 // 3 + ROWS // 2


def test_the_guild_that_changes_the_model_pays_for_the_swap() -> None:
    harness = Harness(swap_charge=10.0)
    for _ in range(ROWS):
        harness.add(1, key="common", model="common")
        harness.add(2, key="rare", model="rare")
    forwards = [harness.step() for _ in range(40)]
    swaps = sum(before[0].key != after[0].key for before, after in itertools.pairwise(forwards))
    charged = sum(harness.schedule._guilds.place((guild_id,))[0] - harness.served[guild_id] for guild_id in (1, 2))
    assert swaps > 0
    assert charged == pytest.approx(10.0 * swaps)


def test_no_seat_stays_empty_while_something_fits() -> None:
    generator = random.Random(0)
    harness = Harness()
    for index in range(30):
        harness.add(index % 3, rows=generator.choice([1, 2]), key=generator.choice(["square", "wide"]))
    for _ in range(50):
        picked = harness.step()
        left = ROWS - sum(resident.rows for resident in picked)
        others = [each for each in harness.residents if each not in picked and each.key == picked[0].key]
        assert left >= 0
        assert all(each.rows > left for each in others)
        assert len({each.key for each in picked}) == 1


def test_a_replay_has_the_forward_to_itself() -> None:
    harness = Harness()
    harness.add(1)
    replay = harness.add(2, next_bucket=4)
    for _ in range(6):
        picked = harness.step()
        assert picked == [replay] or replay not in picked
    assert harness.served[2] == harness.served[1]


def test_inside_a_guild_the_oldest_image_goes_first() -> None:
    harness = Harness()
    images = [harness.add(1) for _ in range(6)]
    assert harness.step() == images[:4]
    harness.residents.remove(images[0])
    harness.schedule.leave(images[0])
    assert harness.step() == images[1:5]


def test_a_new_member_does_not_wait_for_others_pictures_to_end() -> None:
    harness = Harness()
    for _ in range(ROWS):
        harness.add(1, user_id=7)
        harness.add(2, user_id=9)
    for _ in range(20):
        harness.step()
    newcomer = harness.add(1, user_id=8)
    assert all(newcomer in harness.step() for _ in range(20))


def test_inside_a_guild_members_share_what_the_guild_gets() -> None:
    harness = Harness()
    for _ in range(ROWS):
        for user_id in (7, 8):
            harness.add(1, user_id=user_id)
        harness.add(2, user_id=9)
    steps = [resident.order.share.user_id for _ in range(30) for resident in harness.step()]
    assert [steps.count(user_id) for user_id in (7, 8, 9)] == [30, 30, 60]
