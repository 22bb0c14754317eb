"""The fairness the queue promises, for any arrivals, weights and costs; and controls that must fail the same check."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.errors import QueueFullError
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.guild_line import Waiting

Arrivals = list[tuple[int, int, int]]  # (guild, user, cost)


def fill(queue: FairQueue, arrivals: Arrivals, *, start: int = 0) -> None:
    for number, (guild, user, cost) in enumerate(arrivals, start=start):
        queue.push(Waiting(f"image{number}", guild, user, cost))


class Fifo:
    """First come, first served, as in most bots. The control: it must fail the fairness check."""

    def __init__(self) -> None:
        self._line: deque[Waiting] = deque()

    def push(self, waiting: Waiting) -> None:
        self._line.append(waiting)

    def pick(self) -> Waiting | None:
        return self._line.popleft() if self._line else None


class CountRoundRobin(Fifo):
    """One image per guild in turn, whatever its cost. The second control."""

    def pick(self) -> Waiting | None:
        if not self._line:
            return None
        waiting = self._line.popleft()
        same = [other for other in self._line if other.guild_id == waiting.guild_id]
        if same:
            self._line.remove(same[0])
            self._line.append(same[0])
        return waiting


def largest_gap(queue: FairQueue | Fifo, arrivals: Arrivals, weights: dict[int, float]) -> float:
    """The largest difference of normalised service between two guilds over any interval in which both wait.

    Everything arrives at once, so each guild is backlogged until its last image; the service curve's range over all
    intervals that end before that is the largest minus the smallest difference seen.
    """
    left = {guild: sum(1 for g, _, _ in arrivals if g == guild) for guild, _, _ in arrivals}
    for number, (guild, user, cost) in enumerate(arrivals):
        queue.push(Waiting(f"image{number}", guild, user, cost))
    served = dict.fromkeys(left, 0.0)
    ranges = {(f, g): (0.0, 0.0) for f in left for g in left if f < g}
    while (waiting := queue.pick()) is not None:
        served[waiting.guild_id] += waiting.cost / weights[waiting.guild_id]
        left[waiting.guild_id] -= 1
        for (f, g), (low, high) in ranges.items():
            if left[f] and left[g]:
                ranges[f, g] = (min(low, served[f] - served[g]), max(high, served[f] - served[g]))
    return max((high - low for low, high in ranges.values()), default=0.0)


weights_strategy = st.fixed_dictionaries({guild: st.sampled_from([0.1, 1.0, 3.0, 10.0]) for guild in range(4)})
arrivals_strategy = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 5000)), min_size=1, max_size=120
)


@settings(max_examples=200, deadline=None)
@given(arrivals_strategy, weights_strategy)
def test_two_waiting_guilds_never_part_by_more_than_the_bound(arrivals: Arrivals, weights: dict[int, float]) -> None:
    queue = FairQueue(max_per_user=1000)
    for guild, weight in weights.items():
        queue.set_weight(guild, weight)
    largest_charge = max(cost / weights[guild] for guild, _, cost in arrivals)
    assert largest_gap(queue, arrivals, weights) <= 2 * largest_charge * (1 + 1e-9)


@pytest.mark.parametrize("control", [Fifo, CountRoundRobin])
def test_the_same_check_fails_for_a_queue_that_is_not_fair(control: Callable[[], Fifo]) -> None:
    heavy, light = [(0, 0, 50)] * 200, [(1, 1, 10)] * 200
    bound = 2 * 50
    assert largest_gap(control(), heavy + light, {0: 1.0, 1: 1.0}) > bound
    assert largest_gap(FairQueue(max_per_user=1000), heavy + light, {0: 1.0, 1: 1.0}) <= bound


@settings(max_examples=100, deadline=None)
@given(arrivals_strategy, st.data())
def test_no_image_is_lost_and_no_slot_idles(arrivals: Arrivals, data: st.DataObject) -> None:
    queue = FairQueue(max_per_user=1000)
    waiting: set[str] = set()
    flying: set[str] = set()
    for number, (guild, user, cost) in enumerate(arrivals):
        queue.push(Waiting(f"image{number}", guild, user, cost))
        waiting.add(f"image{number}")
        match data.draw(st.sampled_from(["nothing", "pick", "cancel", "settle", "lose"])):
            case "pick":
                picked = queue.pick()
                assert picked is not None, "something waits, so something must be handed out"
                waiting.remove(picked.image_id)
                flying.add(picked.image_id)
            case "cancel":
                name = data.draw(st.sampled_from(sorted(waiting)))
                assert queue.cancel(name) is not None
                waiting.remove(name)
            case "settle" if flying:
                name = data.draw(st.sampled_from(sorted(flying)))
                queue.settle(name, data.draw(st.integers(0, cost)))
                flying.remove(name)
            case "lose" if flying:
                name = data.draw(st.sampled_from(sorted(flying)))
                queue.push_back(name)
                flying.remove(name)
                waiting.add(name)
        assert len(queue) == len(waiting)
        assert queue.num_in_flight == len(flying)
    forecast = [each.image_id for each in queue.forecast()]
    picked_in_order = [each.image_id for each in iter(queue.pick, None)]
    assert set(picked_in_order) == waiting
    assert forecast == picked_in_order, "the forecast is the order that comes true"


def test_a_guild_that_returns_from_idle_earns_no_credit() -> None:
    queue = FairQueue(max_per_user=1000)
    fill(queue, [(1, 1, 10)] * 100)
    for _ in range(50):
        queue.pick()
    fill(queue, [(2, 2, 10)] * 50, start=100)
    first_twenty = [queue.pick() for _ in range(20)]
    assert sum(each is not None and each.guild_id == 2 for each in first_twenty) in (10, 11)


def test_a_new_guild_starts_at_the_level_of_the_last_one() -> None:
    queue = FairQueue()
    for number in range(3):
        queue.push(Waiting(f"early{number}", 1, 1, 100))
        queue.pick()
        queue.settle(f"early{number}", 100)
    fill(queue, [(2, 2, 100), (1, 1, 100)])
    assert queue.share_of(2)[1] == queue.share_of(1)[1] == 300


def test_within_a_guild_members_share_and_each_keeps_their_order() -> None:
    queue = FairQueue()
    fill(queue, [(1, 7, 10), (1, 7, 10), (1, 7, 10), (1, 8, 10)])
    picked = list(iter(queue.pick, None))
    assert [each.user_id for each in picked] == [7, 8, 7, 7]
    assert [each.image_id for each in picked if each.user_id == 7] == ["image0", "image1", "image2"]


def test_unused_cost_is_refunded() -> None:
    queue = FairQueue()
    fill(queue, [(1, 1, 100), (2, 2, 100)])
    queue.pick()
    queue.settle("image0", 0)
    assert queue.share_of(1)[1] == 0


def test_an_image_whose_worker_was_lost_goes_first_again_and_pays_once() -> None:
    queue = FairQueue()
    fill(queue, [(1, 1, 100), (1, 1, 100)])
    lost = queue.pick()
    assert lost is not None
    queue.push_back(lost.image_id)
    assert queue.share_of(1)[1] == 0
    assert queue.pick() == lost


def test_a_restart_keeps_the_shares() -> None:
    arrivals = [(guild, guild, cost) for cost in (30, 70, 20) for guild in (1, 2, 3) for _ in range(5)]
    before = FairQueue()
    fill(before, arrivals)
    for _ in range(7):
        picked = before.pick()
        assert picked is not None
        before.settle(picked.image_id, picked.cost)
    after = FairQueue()
    after.restore(before.counters(), list(before.forecast()))
    for queue in (before, after):
        queue.push(Waiting("newcomer", 9, 9, 50))
    shares = [{guild: queue.share_of(guild)[1] for guild in (1, 2, 3, 9)} for queue in (before, after)]
    assert shares[0] == shares[1]


def test_an_idle_guild_brings_no_credit_over_a_restart() -> None:
    before = FairQueue()
    before.push(Waiting("only", 5, 5, 10))
    before.pick()
    before.settle("only", 10)
    fill(before, [(1, 1, 100)] * 10)
    for _ in range(5):
        before.pick()
    after = FairQueue()
    after.restore(before.counters(), before.forecast())
    after.push(Waiting("again", 5, 5, 10))
    assert after.share_of(5)[1] >= after.share_of(1)[1]


def test_the_same_calls_give_the_same_order() -> None:
    def run() -> list[Waiting]:
        queue = FairQueue()
        fill(queue, [(number % 5, number % 3, 1 + number % 7) for number in range(60)])
        return list(iter(queue.pick, None))

    assert run() == run()


def test_a_full_queue_refuses_and_names_the_limit() -> None:
    queue = FairQueue(max_per_user=3, max_per_guild=5)
    fill(queue, [(1, 1, 1)] * 3 + [(1, 2, 1)])
    with pytest.raises(QueueFullError, match="At most 3 pictures may wait at once for one member, and 3 do already"):
        queue.check_room(1, 1, 1)
    with pytest.raises(QueueFullError, match="At most 5"):
        queue.check_room(1, 2, 2)
    queue.check_room(1, 2, 1)
    with pytest.raises(QueueFullError, match="At most 5 pictures may wait at once in one server, and 5 do already"):
        queue.check_room(1, 2, 1, num_arriving=1)


def test_a_newcomer_is_handed_out_beyond_the_slots_and_the_flood_is_not() -> None:
    queue = FairQueue()
    fill(queue, [(1, 1, 10)] * 5)
    queue.pick()
    assert queue.pick_newcomer() is None, "the flooding guild has an image in flight"
    fill(queue, [(2, 2, 10)] * 2, start=5)
    newcomer = queue.pick_newcomer()
    assert newcomer is not None
    assert newcomer.guild_id == 2
    assert queue.pick_newcomer() is None, "once it has one in flight it waits its turn like everyone"


def test_a_newcomer_whose_counter_is_not_the_smallest_waits() -> None:
    queue = FairQueue()
    fill(queue, [(1, 1, 10)] * 3 + [(2, 2, 100)] * 2)
    assert [queue.pick(), queue.pick()] == [Waiting("image0", 1, 1, 10), Waiting("image3", 2, 2, 100)]
    queue.settle("image3", 100)
    assert queue.share_of(2)[1] > queue.share_of(1)[1]
    assert queue.pick_newcomer() is None


def test_outdated_heap_entries_do_not_pile_up() -> None:
    queue = FairQueue(max_per_user=10_000)
    fill(queue, [(1, 1, 1)] + [(2, 2, 0)] * 5000)
    for picked in iter(queue.pick, None):
        queue.settle(picked.image_id, 0)
    assert len(queue._eligible._heap) < 200
