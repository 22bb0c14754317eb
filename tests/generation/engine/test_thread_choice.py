"""All threads or half of them: what is faster is used, and found again when the load changes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest

from generation.engine.thread_choice import ThreadChoice


@dataclass
class Machine:
    """Forwards that take so many seconds on so many threads."""

    seconds: dict[int, float]
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.choice = ThreadChoice(lambda: self.now_s)

    def run(self, times: int = 1, kind: str = "a", most: int = 2) -> list[int]:
        """Run forwards of that kind; return the threads of each."""
        return [self._run_one(kind, most) for _ in range(times)]

    def _run_one(self, kind: str, most: int) -> int:
        threads = self.choice.choose(kind, most)
        self.choice.timing(kind, most, threads, lambda: self._pass(threads))()
        return threads

    def _pass(self, threads: int) -> None:
        self.now_s += self.seconds[threads]


def test_each_is_tried_and_the_faster_is_kept() -> None:
    assert Machine({2: 1.0, 1: 1.5}).run(20) == [2, 2, 1] + [2] * 17
    assert Machine({2: 1.5, 1: 1.0}).run(20) == [2, 2] + [1] * 18


def test_long_forwards_have_all_threads() -> None:
    assert Machine({2: 2.1, 1: 2.0}).run(100) == [2] * 100


def test_half_of_the_threads_is_enough_where_all_gain_little() -> None:
    assert Counter(Machine({2: 1.0, 1: 1.04}).run(200))[1] > 120
    assert Counter(Machine({2: 1.0, 1: 1.06}).run(200))[2] > 120


def test_what_is_slower_is_tried_again_in_a_fiftieth_of_the_time() -> None:
    machine = Machine({2: 1.0, 1: 5.0})
    machine.run(6)
    began_s, counted = machine.now_s, Counter(machine.run(1000))
    assert 0.01 < counted[1] * 4.0 / (machine.now_s - began_s) <= 0.02  # of what it loses


def test_other_programs_come_and_go() -> None:
    machine = Machine({2: 0.019, 1: 0.024})
    machine.run(20)
    machine.seconds = {2: 0.2, 1: 0.025}
    assert Counter(machine.run(20)[3:])[1] >= 16  # known after three forwards
    machine.seconds = {2: 0.019, 1: 0.024}
    assert Counter(machine.run(2000)[-200:])[2] > 180


def test_two_slow_forwards_decide_nothing() -> None:
    machine = Machine({2: 1.0, 1: 1.5})
    machine.run(5)
    machine.seconds[2] = 9.0
    machine.run(2)
    machine.seconds[2] = 1.0
    assert machine.run(4) == [2] * 4


def test_kinds_and_shares_are_timed_apart() -> None:
    machine = Machine({4: 2.0, 2: 1.0, 1: 3.0})
    assert machine.run(10, most=4)[-1] == 2
    assert machine.run(10, most=2)[-1] == 2
    machine.seconds = {4: 1.0, 2: 2.0}
    assert machine.run(10, kind="b", most=4)[-1] == 4


def test_one_thread_is_all_there_is() -> None:
    assert Machine({1: 1.0}).run(5, most=1) == [1] * 5


def test_a_forward_that_fails_is_not_timed() -> None:
    machine = Machine({2: 1.0, 1: 1.0})

    def fail() -> None:
        machine.now_s += 100.0
        raise RuntimeError("no memory")

    machine.run()
    with pytest.raises(RuntimeError):
        machine.choice.timing("a", 2, 2, fail)()
    assert machine.run(2) == [2, 1]


def test_old_kinds_are_forgotten() -> None:
    machine = Machine({2: 1.0, 1: 2.0})
    for number in range(1000):
        machine.run(kind=str(number))
    assert len(machine.choice._times) < 100
    assert machine.run(kind="999") == [2] and machine.run(kind="0") == [2]
