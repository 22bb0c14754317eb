"""The simulation of waits: two ends are known by hand, and the speed is read from reports of forwards."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.scheduling.throughput import Throughput
from generation.scheduling.wait_simulation import Ahead, Company, Server, WaitCorrection, play, tolerance_s


def pace(*, seats: int = 4, fixed_s: float = 0.1, image_s: float = 0.1) -> Throughput:
    """One that has seen forwards of one image and of `seats`."""
    seen, now_s = Throughput(), 0.0
    seen.resumed(now_s=now_s)
    for images in [1] * 10 + [seats] * 10:
        now_s += fixed_s + image_s * images
        for image in range(images):
            seen.progressed(f"{image}", 10.0, now_s=now_s)
    seen.paused()
    return seen


def ahead(name: str, *, guild: int = 1, left: float = 10.0, weight: float = 1.0, user: int = 0) -> Ahead:
    return Ahead(name, guild, user, weight, 10.0, left)


def server(making: list[Ahead], *, slots: int, pace: Throughput, name: str = "") -> Server:
    return Server(name=name, making=making, slots=slots, pace=pace)


def test_the_throughput_is_fitted_to_the_measurements() -> None:
    seen = pace()
    assert seen.seats == 4
    assert seen.estimate_forward_s([10.0]) == pytest.approx(0.2)
    assert seen.estimate_forward_s([10.0] * 3) == pytest.approx(0.4)


def test_idle_time_does_not_count() -> None:
    seen = Throughput()
    for start_s in (0.0, 1000.0):
        seen.resumed(now_s=start_s)
        for step in range(1, 6):
            seen.progressed("x", 10.0, now_s=start_s + 0.5 * step)
        seen.paused()
    assert seen.estimate_forward_s([10.0]) == pytest.approx(0.5)


def test_there_is_no_estimate_before_the_first_picture() -> None:
    assert play([server([ahead("a")], slots=4, pace=Throughput())], []) == {}


def test_a_lone_picture_has_the_time_of_a_lone_picture() -> None:
    assert play([server([ahead("a")], slots=8, pace=pace())], []) == {"a": pytest.approx(10 * 0.2)}


def test_parallel_pictures_make_forwards_longer() -> None:
    ends = play([server([ahead("a"), ahead("b", guild=2, left=5)], slots=8, pace=pace())], [])
    assert ends == {"b": pytest.approx(5 * 0.3), "a": pytest.approx(5 * 0.3 + 5 * 0.2)}


def test_a_light_guild_does_not_wait_for_a_flood() -> None:
    flood = [ahead(f"f{number}", left=100) for number in range(8)]
    ends = play([server(flood, slots=8, pace=pace())], [ahead("mine", guild=2)])
    assert ends["mine"] == pytest.approx(10 * 0.5), "a seat in every full forward"


def test_a_weight_is_a_claim_to_seats() -> None:
    crowd = [ahead(f"a{n}", weight=3.0, left=30) for n in range(4)] + [ahead(f"b{n}", guild=2) for n in range(4)]
    ends = play([server(crowd, slots=8, pace=pace())], [])
    assert ends["b0"] == pytest.approx(10 * 0.5), "one of four seats, the oldest first"
    assert ends["b1"] > ends["b0"]


def test_waiting_pictures_begin_as_others_end() -> None:
    ends = play([server([ahead("now")], slots=1, pace=pace(seats=1))], [ahead("next"), ahead("last")])
    assert [round(ends[name], 6) for name in ("now", "next", "last")] == [2.0, 4.0, 6.0]


def test_two_workers_share_the_line() -> None:
    up = [server([], slots=1, pace=pace(seats=1)) for _ in range(2)]
    ends = play(up, [ahead(name) for name in "abcd"])
    assert [round(ends[name], 6) for name in "abcd"] == [2.0, 2.0, 4.0, 4.0]


def test_each_moment_is_planned_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bot's event loop stands still meanwhile: with hundreds in line, planning is nearly all that takes."""
    planned, plan = list[int](), Server.plan
    monkeypatch.setattr(Server, "plan", lambda self: planned.append(len(self.making)) or plan(self))
    line = [ahead(f"a{number}", guild=number, left=1.0 + number) for number in range(40)]
    assert len(play([server([], slots=4, pace=pace())], line)) == 40
    assert len(planned) == 40


def test_the_slower_worker_takes_its_time() -> None:
    fast, slow = server([], slots=1, pace=pace(seats=1)), server([], slots=1, pace=pace(seats=1, image_s=0.4))
    ends = play([fast, slow], [ahead(name) for name in "abcd"])
    assert [round(ends[name], 6) for name in "abcd"] == [2.0, 5.0, 4.0, 6.0]


def test_a_picture_for_one_worker_waits_for_that_one_and_holds_up_no_other() -> None:
    up = [server([ahead("now")], slots=1, pace=pace(seats=1), name="x")]
    up.append(server([], slots=1, pace=pace(seats=1), name="y"))
    only_x = ahead("mine", guild=1)
    only_x.where = frozenset("x")
    ends = play(up, [only_x, ahead("other")])
    assert [round(ends[name], 6) for name in ("now", "other", "mine")] == [2.0, 2.0, 4.0]


def test_a_worker_that_has_just_joined_counts_as_fast_as_another() -> None:
    ends = play(
        [server([], slots=1, pace=Throughput()), server([], slots=1, pace=pace(seats=1))], [ahead("a"), ahead("b")]
    )
    assert ends == {"a": pytest.approx(2.0), "b": pytest.approx(2.0)}


ALONE, CROWD = Company(0, 0), Company(3, 0)


def test_the_estimate_learns_the_growth_of_waits() -> None:
    learnt = WaitCorrection()
    assert learnt.corrected(10.0, ALONE) == 10.0
    for _ in range(100):
        learnt.learn(10.0, ALONE, 15.0)
    assert learnt.corrected(10.0, ALONE) == pytest.approx(15.0, rel=0.05)
    assert learnt.corrected(200.0, ALONE) == 200.0, "long waits have an experience of their own"
    assert learnt.corrected(10.0, CROWD) == 10.0, "so have those in a crowd"


def test_the_estimate_fits_most_waits_not_the_mean() -> None:
    learnt = WaitCorrection()
    for waited_s in [20.0, 21.0, 22.0, 90.0] * 25:
        learnt.learn(20.0, ALONE, waited_s)
    assert 20.0 <= learnt.corrected(20.0, ALONE) <= 22.0


def test_one_odd_wait_changes_little() -> None:
    learnt = WaitCorrection()
    learnt.learn(10.0, ALONE, 60.0)
    assert learnt.corrected(10.0, ALONE) < 14.0


@given(st.lists(st.floats(0.2, 500.0), min_size=1, max_size=12))
def test_no_other_answer_is_right_for_more(waits_s: list[float]) -> None:
    learnt = WaitCorrection()
    for waited_s in waits_s:
        learnt.learn(16.0, ALONE, waited_s)
    seen = [*waits_s, 16.0, 16.0, 16.0]  # it begins with three waits as played, each right within 30 %

    def right(answer_s: float) -> int:
        return sum(abs(answer_s - waited_s) <= tolerance_s(waited_s) + 1e-9 for waited_s in seen)

    told_s = learnt.corrected(16.0, ALONE)
    best = max(
        right(edge)
        for waited_s in seen
        for edge in (waited_s - tolerance_s(waited_s), waited_s + tolerance_s(waited_s))
    )
    assert right(told_s) == best


def test_load_is_counted_per_guild() -> None:
    making = [ahead("a"), ahead("b"), ahead("c", guild=2), ahead("d", guild=2), ahead("e", guild=2)]
    assert Company.of(making, 1) == Company(1, 1)
    assert Company.of(making, 3) == Company(1, 0)
    assert Company.of(making * 9, 2) == Company(3, 2)
