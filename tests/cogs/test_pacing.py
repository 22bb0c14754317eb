"""How soon a shard may connect and start a session, by a clock that stands still; the local Discord judges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cogs.pacing import BUCKET_EVERY_S, Pacing, SessionLimits
from discord_sandbox.session_starts import SessionStarts, Start

DAY_S = 86_400.0


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def strict(clock: Clock, **chosen: int) -> SessionStarts:
    starts = SessionStarts(clock)
    starts.is_strict = True
    for name, value in chosen.items():
        setattr(starts, name, value)
    return starts


async def connect(pacing: Pacing, clock: Clock) -> float:
    """Connect as soon as it is allowed; return how long that took."""
    pause_s = max(0.0, pacing.connect_pause_s(0))
    clock.now_s += pause_s
    await pacing.wait_to_connect(0)
    return pause_s


async def identify(pacing: Pacing, clock: Clock, starts: SessionStarts, shard_id: int) -> Start:
    """Start a session as soon as it is allowed; return what Discord says to it."""
    if pacing.needs_limits:
        said = starts.describe(0)["session_start_limit"]
        reset_after_s = said["reset_after"] / 1000
        pacing.set_limits(SessionLimits(said["total"], said["remaining"], reset_after_s, said["max_concurrency"]))
    while (pause_s := pacing.identify_pause_s(shard_id)) > 0:
        clock.now_s += pause_s
    await pacing.wait_to_identify(shard_id)
    return starts.count(shard_id)


async def test_a_shard_that_is_closed_again_and_again_waits_longer_each_time() -> None:
    clock = Clock()
    pacing = Pacing(clock)
    assert [await connect(pacing, clock) for _ in range(9)] == [0, 0, 0, 1, 2, 4, 8, 16, 30]
    assert pacing.connect_pause_s(1) <= 0, "another shard is not held up"
    clock.now_s += 600
    assert await connect(pacing, clock) == 0, "after a quiet time it begins again"


@pytest.mark.parametrize(("max_concurrency", "rounds"), [(1, 60), (16, 4), (64, 1)])
async def test_shards_of_different_buckets_start_at_once(max_concurrency: int, rounds: int) -> None:
    clock = Clock()
    pacing, starts = Pacing(clock), strict(clock, max_concurrency=max_concurrency)
    assert {await identify(pacing, clock, starts, shard) for shard in range(60)} == {Start.TAKEN}
    assert clock.now_s == pytest.approx((rounds - 1) * BUCKET_EVERY_S), "discord.py itself takes 295 s"


async def test_unknown_limits_are_the_smallest() -> None:
    clock = Clock()
    pacing = Pacing(clock)
    for shard in (0, 1):
        assert pacing.needs_limits is (shard == 0)
        while (pause_s := pacing.identify_pause_s(shard)) > 0:
            clock.now_s += pause_s
        await pacing.wait_to_identify(shard)
    assert clock.now_s == BUCKET_EVERY_S


@pytest.mark.parametrize("stays_s", [lambda n: 0.0, lambda n: 300.0 * (n % 2), lambda n: 70.0])
async def test_a_bot_that_never_stays_keeps_within_each_day(stays_s: Callable[[int], float]) -> None:
    clock = Clock()
    pacing, starts = Pacing(clock), strict(clock, max_concurrency=16)
    for number in range(2500):
        assert await identify(pacing, clock, starts, number % 16) is Start.TAKEN
        clock.now_s += stays_s(number)
    assert clock.now_s < 6 * DAY_S, "and goes on"


async def test_a_program_that_is_started_again_and_again_keeps_within_the_day() -> None:
    """Nothing is remembered between two starts but what Discord says."""
    clock = Clock()
    starts = strict(clock)
    for _ in range(1500):
        clock.now_s += 6.0
        assert await identify(Pacing(clock), clock, starts, 0) is Start.TAKEN


async def test_with_no_session_left_it_waits_for_the_next_day() -> None:
    clock = Clock()
    pacing, starts = Pacing(clock), strict(clock)
    starts.describe(0)
    starts.remaining = 0
    assert await identify(pacing, clock, starts, 0) is Start.TAKEN
    assert clock.now_s >= DAY_S


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 20),
    st.integers(1, 60),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(0, 59), st.sampled_from([0.0, 1.0, 5.0, 900.0, DAY_S])), max_size=60),
)
@example(1, 1, 1, [(0, 0.0), (0, 0.0)])  # the next day allows no more than this one
async def test_discord_refuses_no_session(
    max_concurrency: int, total: int, used: int, history: list[tuple[int, float]]
) -> None:
    clock = Clock()
    pacing, starts = Pacing(clock), strict(clock, max_concurrency=max_concurrency, total=total)
    starts.remaining = max(0, total - used)
    for shard_id, stays_s in history:
        assert await identify(pacing, clock, starts, shard_id) is Start.TAKEN
        clock.now_s += stays_s
