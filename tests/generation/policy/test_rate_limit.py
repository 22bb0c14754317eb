"""A limited number of requests per minute and member."""

from __future__ import annotations

import pytest

from generation.errors import TooFastError
from generation.owner import Owner
from generation.policy.rate_limit import RateLimiter

ADA, BO = Owner(1, 100), Owner(1, 101)


class Clock:
    """Seconds that pass when told."""

    now_s = 5_000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_rate_limit_refusal_names_the_time_to_retry() -> None:
    clock = Clock()
    rates, began_s = RateLimiter(monotonic=clock), clock.now_s
    for second in (0, 10):
        clock.now_s = began_s + second
        rates.take(ADA, limit=2)
    rates.take(BO, limit=2)
    clock.now_s = began_s + 20
    with pytest.raises(TooFastError, match=r"allows 2 requests a minute.*try again in 40 s"):
        rates.take(ADA, limit=2)
    clock.now_s = began_s + 60
    rates.take(ADA, limit=2)
    clock.now_s = began_s + 61
    with pytest.raises(TooFastError, match="in 9 s"):
        rates.check(ADA, limit=2)


def test_refused_requests_do_not_count_towards_the_rate() -> None:
    rates = RateLimiter()
    rates.take(ADA, limit=1)
    rates.give_back(ADA)
    rates.take(ADA, limit=1)
    for _ in range(100):
        rates.take(BO, limit=0)
    rates.check(BO, limit=1)
