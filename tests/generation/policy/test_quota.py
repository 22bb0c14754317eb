"""The arithmetic of quotas: windows, days of any time zone and season, and scopes."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import hypothesis.strategies as st
import pytest
from hypothesis import given

from generation.errors import InvalidRequestError, QuotaExceededError
from generation.policy.quota import (
    WINDOW,
    Allowance,
    Quota,
    Scope,
    Unit,
    Usage,
    find_first_window,
    find_window,
    group_quotas,
    require_room,
)

DAILY = Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=10)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
zones = st.sampled_from(sorted(available_timezones() - {"localtime", "Factory"})).map(ZoneInfo)


@given(moment=moments, zone=zones)
def test_a_day_begins_at_a_window_and_holds_exactly_the_moments_of_its_date(moment: datetime, zone: ZoneInfo) -> None:
    start = find_first_window(DAILY, moment, zone=zone)
    assert start == find_window(start) <= moment
    local = start.astimezone(zone)
    assert local.date() == moment.astimezone(zone).date()
    assert (start - timedelta(microseconds=1)).astimezone(zone).date() < local.date()


@given(earlier=moments, gap=st.timedeltas(timedelta(0), timedelta(days=3)), zone=zones)
def test_no_day_renews_twice_as_time_goes_on(earlier: datetime, gap: timedelta, zone: ZoneInfo) -> None:
    """Nor when clocks go back: the start of the day counted from never moves back, and changes only with the date."""
    first, second = (find_first_window(DAILY, moment, zone=zone) for moment in (earlier, earlier + gap))
    same_day = earlier.astimezone(zone).date() == (earlier + gap).astimezone(zone).date()
    assert first == second if same_day else first < second


@pytest.mark.parametrize(("date", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25), ((2026, 6, 1), 24)])
def test_days_with_a_clock_change_are_as_long_as_they_are(date: tuple[int, int, int], hours: int) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    noon = datetime(*date, 12, tzinfo=berlin)
    starts = [find_first_window(DAILY, noon + timedelta(days=days), zone=berlin) for days in (0, 1)]
    assert starts[1] - starts[0] == timedelta(hours=hours)


@given(moment=moments, hours=st.integers(1, 24 * 31))
def test_a_sliding_window_never_counts_less_than_its_hours(moment: datetime, hours: int) -> None:
    quota = Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=1, window_hours=hours)
    start = find_first_window(quota, moment, zone=ZoneInfo("UTC"))
    assert timedelta(0) <= (moment - timedelta(hours=hours)) - start < WINDOW


def by(scope: Scope, subject: int, unit: Unit = Unit.IMAGES, limit: int = 1) -> Quota:
    return Quota(scope=scope, subject_id=subject, unit=unit, limit=limit)


def test_quotas_apply_to_their_scope() -> None:
    everyone, artists, own = by(Scope.ROLE, 7), by(Scope.ROLE, 8), by(Scope.USER, 1)
    dear, others = by(Scope.ROLE, 7, Unit.COST), by(Scope.USER, 2)
    every = [everyone, artists, own, dear, others, DAILY]
    assert group_quotas(every, guild_id=7, user_id=1, role_ids=[8]) == [(DAILY,), (own,), (dear,)]
    assert group_quotas(every, guild_id=7, user_id=3, role_ids=[8]) == [(DAILY,), (everyone, artists), (dear,)]
    assert group_quotas([artists], guild_id=7, user_id=3, role_ids=[]) == []


def test_a_refusal_names_the_most_generous_alternative() -> None:
    group = [Allowance(by(Scope.ROLE, 7, limit=2), Usage(2)), Allowance(by(Scope.ROLE, 8, limit=9), Usage(6))]
    require_room(group, {Unit.IMAGES: 3}, timezone="UTC")
    with pytest.raises(QuotaExceededError, match="quota of 9 pictures a day: 3 left, 4 needed"):
        require_room(group, {Unit.IMAGES: 4}, timezone="UTC")


def test_the_rest_of_a_quota_is_never_negative() -> None:
    over = Allowance(by(Scope.GUILD, 0, Unit.COST, limit=10), Usage(num_images=1, reserved=8, used=7))
    assert over.left == 0


@pytest.mark.parametrize("wrong", [{"limit": -1}, {"window_hours": 0}, {"window_hours": 24 * 31 + 1}])
def test_quotas_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        Quota(**{"scope": Scope.GUILD, "unit": Unit.IMAGES, "limit": 1, **wrong})
