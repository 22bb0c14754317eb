"""Read, write and audit entry are one transaction: nothing is lost, half done or half recorded."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import Base
from db.stores.audit_log import Entry
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from db.stores.quotas import QuotaStore
from db.stores.settings import SettingsStore
from db.stores.styles import StyleStore
from generation.errors import InvalidRequestError
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from generation.requests.style import MAX_STYLES, Style
from generation.rules.rule import Rule
from generation.safety.visibility import SafetyLevel
from tests.db.guild_stores import open_stores
from tests.db.kinds import SERVER, SQLITE, on_both
from tests.db.some_jobs import GUILD, NOW, USER, a_job, done
from tests.stored import fetch_jobs

ENTRY = Entry(USER, "for a test")
CHANGES: dict[str, Callable[[int], object]] = {
    "weight": lambda n: 1.0 + n,
    "safety": lambda n: list(SafetyLevel)[n % 3],
    "timezone": lambda n: ("UTC", "Asia/Tokyo", "Europe/Berlin")[n % 3],
    "max_steps": lambda n: 10 + n,
    "max_count": lambda n: 1 + n % 4,
    "review_hours": lambda n: (0, 24, 72)[n % 3],
    "retention_days": lambda n: (0, 7, 30)[n % 3],
    "channel_ids": lambda n: (n + 1,),
}


def with_one(old: GuildSettings, name: str, value: Any) -> GuildSettings:
    own = {"weight", "safety", "timezone"}
    return replace(old, **{name: value}) if name in own else replace(old, choices=replace(old.choices, **{name: value}))


_FULL_TRAIL = {
    SQLITE: (
        "CREATE TRIGGER full BEFORE INSERT ON changes BEGIN SELECT RAISE(ABORT, 'the trail is full'); END",
        "DROP TRIGGER full",
    ),
    SERVER: (
        'ALTER TABLE changes ADD CONSTRAINT "the trail is full" CHECK (false) NOT VALID',
        'ALTER TABLE changes DROP CONSTRAINT "the trail is full"',
    ),
}


@contextmanager
def trail_is_full(database: Database) -> Iterator[None]:
    """Let no entry be added to the audit log."""
    forbid, allow = _FULL_TRAIL[database.url.get_backend_name()]
    with database._writing.begin() as connection:
        connection.execute(text(forbid))
    yield
    with database._writing.begin() as connection:
        connection.execute(text(allow))


async def everything(database: Database) -> dict[str, list[Any]]:
    def read(session: Session) -> dict[str, list[Any]]:
        tables = (name for name in Base.metadata.tables if name not in ("secrets", "members"))
        return {name: session.execute(text(f"SELECT * FROM {name}")).all() for name in tables}

    return await database.read(read)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rounds=st.lists(
        st.dictionaries(st.sampled_from(sorted(CHANGES)), st.integers(0, 40), min_size=2), min_size=1, max_size=4
    )
)
async def test_concurrent_changes_are_all_stored_and_recorded(database: Database, rounds: list[dict[str, int]]) -> None:
    stores = open_stores(database)
    expected, told = (
        await SettingsStore(database).fetch(GUILD),
        len(await stores.audit_log.fetch_changes(GUILD, limit=9999)),
    )
    for chosen in rounds:
        values = {name: CHANGES[name](number) for name, number in chosen.items()}
        told += sum(with_one(expected, *each) != expected for each in values.items())
        await asyncio.gather(
            *(
                stores.guild_policy.change_settings(GUILD, lambda old, one=one: with_one(old, *one), ENTRY)
                for one in values.items()
            ),
            stores.guild_policy.fetch(GUILD),
        )
        for each in values.items():
            expected = with_one(expected, *each)
        assert await SettingsStore(database).fetch(GUILD) == expected
        assert (await stores.guild_policy.fetch(GUILD)).settings == expected
    assert len(await stores.audit_log.fetch_changes(GUILD, limit=9999)) == told


WRITERS: dict[str, Callable[[Database], Awaitable[object]]] = {
    "settings": lambda db: open_stores(db).guild_policy.change_settings(
        GUILD, lambda old: replace(old, weight=3.0), ENTRY
    ),
    "settings and styles of a file": lambda db: open_stores(db).guild_policy.change_settings(
        GUILD, lambda old: old, ENTRY, styles=[Style(guild_id=GUILD, name="Oil", prompt="in oil")]
    ),
    "a rule": lambda db: open_stores(db).content_rules.add_rules(GUILD, [Rule(text="troll")], by=USER),
    "all rules": lambda db: open_stores(db).content_rules.add_rules(
        GUILD, [Rule(text="troll")], by=USER, replacing=True
    ),
    "a rule removed": lambda db: open_stores(db).content_rules.remove_rule(GUILD, 1, by=USER),
    "a style": lambda db: StyleStore(db).save(Style(guild_id=GUILD, name="Oil", prompt="in oil"), ENTRY),
    "a style removed": lambda db: StyleStore(db).remove(GUILD, "Ink", ENTRY),
    "a block": lambda db: moderation(db).block(GUILD, USER + 1, ENTRY, lasting=None),
    "an end of a block": lambda db: moderation(db).unblock(GUILD, USER, ENTRY),
    "a purge": lambda db: purge(db),
    "a decision": lambda db: decide(db),
}


def moderation(database: Database) -> ModerationStore:
    return ModerationStore(database, clock=lambda: NOW)


async def purge(database: Database) -> list[Any]:
    return [each async for each in moderation(database).purge(GUILD, USER, by=USER, said=lambda number: f"{number}")]


async def decide(database: Database) -> list[str]:
    (job,) = await fetch_jobs(JobStore(database), a_job().owner)
    return await moderation(database).decide(GUILD, job, ENTRY, deletes=True)


async def settle_in(database: Database) -> None:
    """Create one of everything that the writers above change."""
    job = a_job()
    await JobStore(database).accept(job)
    await JobStore(database).settle(job.images[0].id, 0, done(job))
    await open_stores(database).content_rules.add_rules(GUILD, [Rule(text="goblin")], by=USER)
    await StyleStore(database).save(Style(guild_id=GUILD, name="Ink", prompt="in ink"), ENTRY)
    await moderation(database).block(GUILD, USER, ENTRY, lasting=None)
    await moderation(database).report(GUILD, job.id, by=USER, reason="for a test")


@pytest.mark.parametrize("name", WRITERS)
async def test_an_unrecorded_change_is_rolled_back(database: Database, name: str) -> None:
    await settle_in(database)
    before = await everything(database)
    with trail_is_full(database), pytest.raises(IntegrityError, match="the trail is full"):
        await WRITERS[name](database)
    assert await everything(database) == before
    await WRITERS[name](database)
    after = await everything(database)
    assert len(after["changes"]) == len(before["changes"]) + 1
    assert {table for table in after if after[table] != before[table]} > {"changes"}


@on_both
async def test_an_unrecorded_change_is_not_in_force(database: Database) -> None:
    stores = open_stores(database)
    before = await stores.guild_policy.fetch(GUILD)
    with trail_is_full(database):
        for change in (
            stores.guild_policy.change_settings(GUILD, lambda old: replace(old, weight=3.0), ENTRY),
            stores.content_rules.add_rules(GUILD, [Rule(text="goblin")], by=USER),
        ):
            with pytest.raises(IntegrityError):
                await change
    after = await stores.guild_policy.fetch(GUILD)
    assert (after.settings, after.rules.rules) == (before.settings, before.rules.rules)


async def cut_off(database: Database, change: Awaitable[object]) -> None:
    """Cancel the caller of a change while the writer runs it, and wait until that is done."""
    began, go_on = threading.Event(), threading.Event()
    held = asyncio.ensure_future(database.write(lambda session: (began.set(), go_on.wait())))
    changing = asyncio.ensure_future(change)
    await asyncio.to_thread(began.wait)
    later = asyncio.ensure_future(
        database.write(lambda session: changing.get_loop().call_soon_threadsafe(changing.cancel))
    )
    go_on.set()
    await asyncio.gather(held, later)
    await asyncio.gather(changing, return_exceptions=True)


@on_both
async def test_a_write_of_a_cancelled_caller_is_in_force(database: Database) -> None:
    """Shown for what is kept in memory: policies, admission, blocks."""
    stores, operator = open_stores(database), OperatorStore(database)
    moderating = moderation(database)
    await asyncio.gather(
        stores.guild_policy.fetch(GUILD), operator.admission(), moderating.fetch_blocked_until(GUILD, USER)
    )
    await cut_off(database, stores.guild_policy.change_settings(GUILD, lambda old: replace(old, weight=3.0), ENTRY))
    await cut_off(database, operator.set_standing(GUILD, AccessDecision.DENIED))
    await cut_off(database, moderating.block(GUILD, USER, ENTRY, lasting=None))
    assert (await SettingsStore(database).fetch(GUILD)).weight == 3.0
    assert (await stores.guild_policy.fetch(GUILD)).settings.weight == 3.0
    assert (await operator.admission()).standings == {GUILD: AccessDecision.DENIED}
    assert await moderating.fetch_blocked_until(GUILD, USER) is not None


async def test_a_file_with_too_many_styles_changes_nothing(database: Database) -> None:
    await StyleStore(database).save(Style(guild_id=GUILD, name="Ink", prompt="in ink"), ENTRY)
    before = await everything(database)
    too_many = [Style(guild_id=GUILD, name=f"s{number}", prompt="x") for number in range(MAX_STYLES + 1)]
    with pytest.raises(InvalidRequestError):
        await open_stores(database).guild_policy.change_settings(
            GUILD, lambda old: replace(old, timezone="Asia/Tokyo"), ENTRY, styles=too_many
        )
    assert await everything(database) == before


async def test_the_same_change_twice_is_recorded_once(database: Database) -> None:
    await settle_in(database)
    before = len(await open_stores(database).audit_log.fetch_changes(GUILD, limit=99))
    for twice in ("a rule removed", "a style removed", "an end of a block", "a rule"):
        ended = await asyncio.gather(WRITERS[twice](database), WRITERS[twice](database), return_exceptions=True)
        assert sum(isinstance(each, InvalidRequestError) or each in (False, 0) for each in ended) == 1, twice
    assert len(await open_stores(database).audit_log.fetch_changes(GUILD, limit=99)) == before + 4


async def test_a_change_that_changes_nothing_is_not_recorded(database: Database) -> None:
    stores = open_stores(database)
    await stores.guild_policy.change_settings(GUILD, lambda old: old, ENTRY)
    assert await stores.audit_log.fetch_changes(GUILD) == []


@on_both
async def test_quotas_set_at_once_leave_one_of_a_kind(database: Database) -> None:
    store = QuotaStore(database)
    quotas = [Quota(scope=Scope.USER, subject_id=USER, unit=Unit.IMAGES, limit=number) for number in range(20)]
    await asyncio.gather(*(store.set_quota(GUILD, quota) for quota in quotas))
    assert await store.fetch_quotas(GUILD) == [quotas[-1]]
