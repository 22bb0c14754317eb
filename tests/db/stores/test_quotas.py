"""Which quota applies to which member, when it renews, and that a refusal says both."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from db.engine import Database
from db.stores.jobs import JobStore
from db.stores.quotas import QuotaStore
from db.stores.settings import SettingsStore
from generation.errors import InvalidRequestError, QuotaExceededError
from generation.jobs.job import Status
from generation.owner import Owner
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from generation.safety.visibility import SafetyLevel
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, NOW, USER, a_job, ended

pytestmark = on_both

ARTISTS, PATRONS = 11, 12


@pytest.fixture
def quotas(database: Database) -> QuotaStore:
    return QuotaStore(database)


@pytest.fixture
def jobs(database: Database) -> JobStore:
    return JobStore(database)


def by_role(role: int, limit: int, unit: Unit = Unit.IMAGES) -> Quota:
    return Quota(scope=Scope.ROLE, subject_id=role, unit=unit, limit=limit)


async def room_for(jobs: JobStore, *roles: int, user: int = USER) -> int:
    """Return how many single pictures the member may still ask for, at most 20, by asking."""
    for number in range(20):
        try:
            await jobs.accept(a_job(user=user), role_ids=roles)
        except QuotaExceededError:
            return number
    return 20


async def test_a_guild_without_quotas_is_not_limited(jobs: JobStore) -> None:
    assert await room_for(jobs) == 20


async def test_everyones_quota_counts_each_member_alone(jobs: JobStore, quotas: QuotaStore) -> None:
    await quotas.set_quota(GUILD, by_role(GUILD, 2))
    assert await room_for(jobs) == 2
    assert await room_for(jobs, user=USER + 1) == 2
    await jobs.accept(a_job(guild=GUILD + 1))


async def test_the_most_generous_role_counts(jobs: JobStore, quotas: QuotaStore) -> None:
    for quota in (by_role(GUILD, 1), by_role(ARTISTS, 3), by_role(PATRONS, 5)):
        await quotas.set_quota(GUILD, quota)
    assert await room_for(jobs, ARTISTS, PATRONS) == 5
    assert await room_for(jobs, ARTISTS, user=USER + 1) == 3
    assert await room_for(jobs, 99, user=USER + 2) == 1


async def test_a_members_own_quota_goes_before_roles_and_the_guilds_before_all(
    jobs: JobStore, quotas: QuotaStore
) -> None:
    await quotas.set_quota(GUILD, by_role(GUILD, 5))
    await quotas.set_quota(GUILD, Quota(scope=Scope.USER, subject_id=USER, unit=Unit.IMAGES, limit=1))
    await quotas.set_quota(GUILD, Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=4))
    assert await room_for(jobs) == 1
    assert await room_for(jobs, user=USER + 1) == 3


async def test_cost_is_a_quota_of_its_own_and_a_job_fits_whole_or_not_at_all(
    jobs: JobStore, quotas: QuotaStore
) -> None:
    cost = a_job().images[0].reserved
    await quotas.set_quota(GUILD, by_role(GUILD, 3 * cost, Unit.COST))
    await quotas.set_quota(GUILD, by_role(GUILD, 100))
    with pytest.raises(QuotaExceededError):
        await jobs.accept(a_job(count=4))
    await jobs.accept(a_job(count=3))


async def test_a_refund_can_be_used_again(jobs: JobStore, quotas: QuotaStore) -> None:
    await quotas.set_quota(GUILD, by_role(GUILD, 1))
    job = a_job()
    await jobs.accept(job)
    assert await room_for(jobs) == 0
    await jobs.settle(job.images[0].id, 0, ended(Status.CANCELLED))
    assert await room_for(jobs) == 1


async def test_a_day_is_that_of_the_guilds_time_zone(database: Database, jobs: JobStore, quotas: QuotaStore) -> None:
    await quotas.set_quota(GUILD, by_role(GUILD, 1))
    await SettingsStore(database).change(GUILD, lambda old: replace(old, timezone="Asia/Kathmandu"))  # UTC + 5:45
    evening = NOW.replace(hour=18, minute=14)
    await jobs.accept(a_job(at=evening))
    with pytest.raises(QuotaExceededError) as refused:
        await jobs.accept(a_job(at=evening))
    assert str(refused.value) == (
        "This would go over the quota of 1 picture a day: 0 left, 1 needed. It renews at midnight (Asia/Kathmandu)."
    )
    await jobs.accept(a_job(at=evening + timedelta(minutes=1)))


async def test_a_sliding_window_renews_as_pictures_age(jobs: JobStore, quotas: QuotaStore) -> None:
    quota = Quota(scope=Scope.ROLE, subject_id=GUILD, unit=Unit.IMAGES, limit=1, window_hours=6)
    await quotas.set_quota(GUILD, quota)
    await jobs.accept(a_job(at=NOW))
    with pytest.raises(
        QuotaExceededError, match=r"in 6 hours: 0 left, 1 needed. Some of it comes free on 01 March at 18:15"
    ):
        await jobs.accept(a_job(at=NOW + timedelta(hours=6)))
    await jobs.accept(a_job(at=NOW + timedelta(hours=6, minutes=15)))


async def test_quotas_are_listed_replaced_and_removed(quotas: QuotaStore) -> None:
    own = Quota(scope=Scope.USER, subject_id=USER, unit=Unit.COST, limit=7, window_hours=24)
    guild = Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=9)
    for quota in (own, by_role(ARTISTS, 3), guild, by_role(ARTISTS, 4)):
        await quotas.set_quota(GUILD, quota)
    assert await quotas.fetch_quotas(GUILD) == [guild, by_role(ARTISTS, 4), own]
    await quotas.remove_quota(GUILD, by_role(ARTISTS, 0))
    await quotas.remove_quota(GUILD, by_role(PATRONS, 0))
    assert await quotas.fetch_quotas(GUILD) == [guild, own]
    assert await quotas.fetch_quotas(GUILD + 1) == []


async def test_the_rest_of_a_quota_can_be_shown(jobs: JobStore, quotas: QuotaStore) -> None:
    owner = Owner(GUILD, USER)
    await quotas.set_quota(GUILD, by_role(GUILD, 5))
    [[unknown]] = await quotas.fetch_allowances(owner, role_ids=(), now=NOW)
    assert unknown.left == 5
    await jobs.accept(a_job(count=2))
    [[known]] = await quotas.fetch_allowances(owner, role_ids=(), now=NOW)
    assert (known.quota, known.left) == (by_role(GUILD, 5), 3)


async def test_settings_come_back_and_the_unset_have_defaults(database: Database) -> None:
    store = SettingsStore(database)
    assert await store.fetch(GUILD) == GuildSettings(guild_id=GUILD)
    for weight in (2.5, 0.1):
        chosen = GuildSettings(guild_id=GUILD, weight=weight, safety=SafetyLevel.BLUR, timezone="Europe/Berlin")
        await store.change(chosen.guild_id, lambda _old, chosen=chosen: chosen)
        assert await store.fetch(GUILD) == chosen
    assert await store.fetch_all() == [chosen]


@pytest.mark.parametrize(
    "wrong", [{"weight": 0.0}, {"weight": float("nan")}, {"timezone": "Mars/Olympus"}, {"timezone": "../etc/passwd"}]
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError):
        GuildSettings(guild_id=GUILD, **wrong)
