"""So many requests a minute, by member, and no more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from generation.errors import TooFast
from generation.job import Owner
from generation.rates import Rates

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA, BO = Owner(1, 100), Owner(1, 101)


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def test_a_member_who_is_too_quick_is_told_when_it_works_again() -> None:
    rates = Rates()
    for second in (0, 10):
        rates.take(ADA, limit=2, now=after(second))
    rates.take(BO, limit=2, now=after(10))
    with pytest.raises(TooFast, match=r"allows 2 requests a minute.*try again in 40 s"):
        rates.take(ADA, limit=2, now=after(20))
    rates.take(ADA, limit=2, now=after(60))
    with pytest.raises(TooFast, match="in 9 s"):
        rates.check(ADA, limit=2, now=after(61))


def test_what_was_refused_otherwise_does_not_count_and_no_limit_counts_nothing() -> None:
    rates = Rates()
    rates.take(ADA, limit=1, now=NOW)
    rates.give_back(ADA)
    rates.take(ADA, limit=1, now=NOW)
    for _ in range(100):
        rates.take(BO, limit=0, now=NOW)
    rates.check(BO, limit=1, now=NOW)
