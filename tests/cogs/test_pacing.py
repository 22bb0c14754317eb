"""How soon a shard may connect again, by a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cogs.pacing import Pacing

DAY_S = 86_400.0


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def _connect(pacing: Pacing, clock: Clock, *, is_resume: bool, shard_id: int = 0) -> float:
    """Connect as soon as it is allowed; return how long that took."""
    pause_s = max(0.0, pacing.pause_s(shard_id, is_resume=is_resume))
    clock.now_s += pause_s
    await pacing.wait(shard_id, is_resume=is_resume)
    return pause_s


async def test_a_shard_that_is_closed_again_and_again_waits_longer_each_time() -> None:
    clock = Clock()
    pacing = Pacing(clock)
    pauses = [await _connect(pacing, clock, is_resume=True) for _ in range(9)]
    assert pauses == [0, 0, 0, 1, 2, 4, 8, 16, 30]
    assert pacing.pause_s(1, is_resume=True) <= 0, "another shard is not held up"
    clock.now_s += 600
    assert await _connect(pacing, clock, is_resume=True) == 0, "after a quiet time it begins again"


@pytest.mark.parametrize("stays_s", [lambda n: 0.0, lambda n: 300.0 * (n % 2), lambda n: 70.0])
async def test_never_more_than_a_thousand_identifies_a_day(stays_s: Callable[[int], float]) -> None:
    clock = Clock()
    pacing = Pacing(clock)
    times: list[float] = []
    for number in range(3000):
        await _connect(pacing, clock, is_resume=False, shard_id=number % 16)
        times.append(clock.now_s)
        clock.now_s += stays_s(number)
    most = max(sum(start <= time < start + DAY_S for time in times[at:]) for at, start in enumerate(times[:1500:50]))
    assert most < 1000
