"""A server that alternates models pays for its swaps, others do not, and the bound of fairness holds with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.jobs.protocol import LoadedModelInfo
from generation.models.catalog import Catalog
from generation.models.prices import price_load_of
from generation.owner import Owner
from generation.requests.cost import UNITS_PER_STEP, image_cost
from generation.requests.spec import GenerationRequest
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting
from generation.scheduling.placement import Needs
from generation.scheduling.swaps import Swaps
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.requests.test_cost import a_model
from tests.generation.service_harness import opened_with, spec

COSTS = {"x": 1000, "y": 400, "z": 4000}
"""Of loading each model."""
MAX_COST = 50


class RequesterPays(Swaps):
    """A control: whoever asks for a model that has left pays for its return."""

    def find_payer(self, member: str, model: str, guild_id: int, *, coming: frozenset[str] = frozenset()) -> int | None:
        payer = super().find_payer(member, model, guild_id, coming=coming)
        return None if payer is None else guild_id


class Card:
    """One worker that keeps so many models; the one unused for longest leaves."""

    def __init__(self, weights: dict[int, float], *, room: int = 1, kind: type[Swaps] = Swaps) -> None:
        self.queue, self.swaps, self.room = FairQueue(max_per_user=10**6, max_per_guild=10**6), kind(), room
        self.queue.price_load_of = COSTS.__getitem__
        self.loaded: list[str] = ["x"]
        self.weights, self.num = weights, 0
        self.paid, self.charged = Counter[int](), Counter[int]()
        self.ranges: dict[tuple[int, int], tuple[float, float, float]] = {}
        self.gap = 0.0
        self.waiting, self.flying = Counter[int](), list[Waiting]()
        for guild, weight in weights.items():
            self.queue.set_weight(guild, weight)

    def arrive(self, guild: int, models: Iterable[str], cost: int = MAX_COST) -> None:
        for model in models:
            self.num += 1
            self.queue.push(Waiting(str(self.num), guild, guild, cost, needs=Needs(model=model)))
            self.waiting[guild] += 1

    def pick(self) -> Waiting | None:
        picked = self.queue.pick()
        if picked is None:
            return None
        self.waiting[picked.guild_id] -= 1
        self.flying.append(picked)
        model = picked.needs.model
        self.swaps.observe("card", frozenset(self.loaded))
        payer = self.swaps.find_payer("card", model, picked.guild_id)
        self._charge(picked.guild_id, picked.cost)
        if payer is not None:
            self.queue.charge_load(picked.image_id, payer=payer)
            self.paid[payer] += COSTS[model]
            self._charge(payer, COSTS[model])
        self.loaded = [*(name for name in self.loaded if name != model), model][-self.room :]
        return picked

    def end_one(self) -> None:
        if self.flying:
            ended = self.flying.pop(0)
            self.queue.settle(ended.image_id, ended.cost)

    def _charge(self, guild: int, units: int) -> None:
        self.charged[guild] += units
        for pair in combinations(sorted(self.weights), 2):
            if not (self.waiting[pair[0]] and self.waiting[pair[1]]):
                self.ranges.pop(pair, None)
            elif guild in pair:
                now, low, high = self.ranges.get(pair, (0.0, 0.0, 0.0))
                now += units / self.weights[guild] * (1 if guild == pair[0] else -1)
                self.ranges[pair] = (now, min(low, now), max(high, now))
                self.gap = max(self.gap, self.ranges[pair][2] - self.ranges[pair][1])


@pytest.mark.parametrize(("kind", "is_just"), [(Swaps, True), (RequesterPays, False)])
def test_a_server_that_alternates_models_pays_for_all_swaps(kind: type[Swaps], is_just: bool) -> None:
    """Server 1 asks for x and y in turn, 2 and 3 stay with x, which comes back again and again."""
    card = Card(dict.fromkeys((1, 2, 3), 1.0), kind=kind)
    card.arrive(1, "xy" * 200)
    for guild in (2, 3):
        card.arrive(guild, "x" * 400)
    for _ in range(300):
        card.pick()
        card.end_one()
    assert card.paid[1] > 10 * COSTS["y"]
    assert (not card.paid[2] and not card.paid[3]) is is_just


def test_servers_that_stay_with_a_model_each_pay_for_their_own() -> None:
    card = Card(dict.fromkeys((1, 2), 1.0))
    card.arrive(1, "x" * 100)
    card.arrive(2, "y" * 100)
    for _ in range(100):
        card.pick()
        card.end_one()
    loads = {1: card.paid[1] // COSTS["x"], 2: card.paid[2] // COSTS["y"]}
    assert min(loads.values()) >= 3
    assert abs(loads[1] - loads[2]) <= 1
    assert card.queue.share_of(1)[1] == pytest.approx(card.queue.share_of(2)[1], abs=MAX_COST + COSTS["x"])


def test_what_stays_in_memory_costs_nothing_and_a_first_load_costs_once() -> None:
    card = Card({1: 1.0}, room=3)
    card.arrive(1, "xyxyzyx")
    while card.pick():
        pass
    assert card.paid[1] == COSTS["y"] + COSTS["z"]


moves = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(1, 4), st.text("xyz", min_size=1, max_size=6), st.integers(1, 50)),
        st.tuples(st.just("pick"), st.integers(1, 8)),
        st.tuples(st.just("end"), st.integers(1, 6)),
    ),
    max_size=60,
)


def drive(card: Card, script: list[Any]) -> float:
    for name, *of in script:
        if name == "arrive":
            card.arrive(of[0], of[1], of[2])
        for _ in range(of[0] if name != "arrive" else 0):
            card.pick() if name == "pick" else card.end_one()
    return card.gap


@settings(max_examples=150, deadline=None)
@given(
    moves,
    st.fixed_dictionaries({guild: st.sampled_from([0.1, 1.0, 3.0, 10.0]) for guild in (1, 2, 3, 4)}),
    st.integers(1, 2),
)
def test_the_bound_holds_with_loads(script: list[Any], weights: dict[int, float], room: int) -> None:
    """Of the page: twice the largest picture, the largest load, and the return of all models but one."""
    largest = max(COSTS.values())
    returns = sum(COSTS.values()) - min(COSTS.values())
    assert drive(Card(weights, room=room), script) <= 2 * (MAX_COST + largest + returns) / min(weights.values()) + 1e-6


def test_free_loads_would_break_the_bound() -> None:
    """The same floods: without the charge, who alternates has the card for loading most of the time."""
    work = {}
    for prices in (COSTS, dict.fromkeys(COSTS, 0)):
        card = Card(dict.fromkeys((1, 2), 1.0))
        card.queue.price_load_of = prices.__getitem__
        card.arrive(1, "yz" * 200)
        card.arrive(2, "x" * 400)
        for _ in range(60):
            card.pick()
            card.end_one()
        work[prices is COSTS] = card.gap
    assert work[True] <= 2 * (MAX_COST + 4000 + 5000) < work[False]


def test_a_worker_that_was_lost_gives_the_charge_back() -> None:
    card = Card({1: 1.0})
    card.arrive(1, "y")
    picked = card.pick()
    assert picked is not None
    assert card.queue.share_of(1)[1] == MAX_COST + COSTS["y"]
    assert card.queue.counters() == {}, "a restart puts it back in line"
    card.queue.push_back(picked.image_id)
    assert card.queue.share_of(1)[1] == 0
    again = card.queue.pick()
    assert again is not None and again.load == 0


def test_a_worker_that_says_nothing_of_its_memory_charges_nothing() -> None:
    swaps = Swaps()
    swaps.observe("card", frozenset())
    assert swaps.find_payer("card", "x", 1) is None
    swaps.observe("card", frozenset("x"))
    assert swaps.find_payer("card", "y", 1, coming=frozenset("y")) is None
    assert swaps.find_payer("card", "y", 1) == 1


class OneModel(InProcessWorker):
    """A worker with room for one model: that of the picture it took last."""

    @property
    def loaded_models(self) -> tuple[LoadedModelInfo, ...]:
        name = self.admitted[-1].spec.model if self.admitted else self.models[0].name
        return (LoadedModelInfo(name=name, device="light", num_bytes=1),)


async def test_a_swap_is_charged_in_turns_and_in_no_quota(tmp_path: Path) -> None:
    """Through the service: server 1 alternates, server 2 does not; the ledger has the pictures alone."""
    folder = tmp_path / "weights"
    folder.mkdir()
    weights = folder / "a.safetensors"
    weights.write_bytes(bytes(2**20))
    models = tuple(replace(a_model(name, "sd"), path=weights, config=folder) for name in ("one", "two"))
    pool = WorkerPool([Member(name="card", worker=OneModel(models, num_slots=1))])
    async with opened_with(tmp_path, pool, catalog=Catalog(models)) as place:
        load = price_load_of(place.generation.catalog, "two")
        assert load == round(10 * UNITS_PER_STEP / 1024)
        charged = {}
        for guild, names in ((1, ("one", "two", "one", "two")), (2, ("two", "two", "two", "two"))):
            charged[guild] = 0
            for name in names:
                request = GenerationRequest(spec=spec(model=name))
                job = await place.finished(await place.generation.submit(request, Owner(guild, 5)))
                [image] = job.images
                assert image.charged == image.reserved == image_cost(image.spec, work=models[0].work)
                charged[guild] += image.charged
        counters = {guild: place.generation._queue.share_of(guild)[1] for guild in (1, 2)}
        assert counters[1] == charged[1] + 3 * load
        assert counters[2] - counters[1] == charged[2], "lifted to where the other stopped, and then pictures alone"
