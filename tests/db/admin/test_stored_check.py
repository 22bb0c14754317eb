"""One unusable stored value is set aside alone: no start, listing, erasure or export stops."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from db.admin.erasure import erase_user
from db.admin.personal import PersonalStore
from db.admin.reconcile import reconcile
from db.admin.retention import RetentionStore
from db.admin.stored_check import find_unusable
from db.column_types import UNREADABLE_TIME
from db.engine import Database
from db.stores.audit_log import Entry
from db.stores.deliveries import DeliveryStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from db.stores.quotas import QuotaStore
from db.stores.settings import SettingsStore
from db.stores.styles import StyleStore
from generation.errors import InvalidRequestError
from generation.jobs.history import HistoryFilter
from generation.jobs.job import Job, Status
from generation.owner import Owner
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import RoleBoost
from generation.policy.quota import Quota, Scope, Unit
from generation.requests.spec import GenerationRequest
from generation.requests.style import Style
from generation.requests.unreadable import UNREADABLE_REQUEST, UNREADABLE_SPEC
from generation.rules.rule import Kind, Rule
from generation.safety.visibility import FlaggedHandling, SafetyLevel, SafetyScores
from tests.db.guild_stores import open_stores
from tests.db.some_jobs import GUILD, NOW, PROMPT, USER, a_job, a_recipe, a_reply, all_of, done
from tests.stored import fetch_image

HEART = "\U0001fa77"  # a character of Unicode 15, which Python 3.11 does not know
OWNER = Owner(GUILD, USER)
ENTRY = Entry(USER, "something")


def change(file: Path, statement: str, *values: object) -> None:
    """Write to the database directly, as another release or an operator would."""
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute(statement, values).rowcount == 1, statement
        connection.commit()


def edited(text: str, **changes: object) -> str:
    return json.dumps(json.loads(text) | changes)


def stored(file: Path, query: str) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute(query).fetchone()[0])


async def finished(database: Database, *, at_minute: int = 0, judgement: SafetyScores | None = None) -> Job:
    job = a_job(at=NOW + timedelta(minutes=at_minute))
    store = JobStore(database, clock=lambda: NOW)
    await store.accept(job, a_reply())
    attempt = await store.claim(job.images[0].id)
    assert attempt is not None
    outcome = replace(done(job, file=f"{at_minute:064x}"), judgement=judgement)
    assert await store.settle(job.images[0].id, attempt, outcome)
    return job


async def waiting(database: Database) -> Job:
    job = a_job(at=NOW + timedelta(hours=1))
    await JobStore(database).accept(job, a_reply())
    return job


SPECS = {
    "a noncharacter": {"prompt": "a \uffff on a shelf"},
    "a sampler of another release": {"sampler": "Not Yet Known"},
    "more steps than may be now": {"steps": 10_000},
    "a size that is none": {"width_px": 7},
    "a prompt too long now": {"prompt": "x" * 5000},
    "a LoRA with another kind of name": {"adapters": [["../x", "no hash", 9.0]]},
    "guidance that is no number": {"guidance": None},
    "text for a number": {"steps": "ten"},
    "no prompt at all": {"prompt": None},
    "a seed beyond 32 bits": {"seed": 2**70},
}


@pytest.mark.parametrize("changes", SPECS.values(), ids=SPECS.keys())
async def test_a_spec_that_cannot_be_used_stops_nothing_else(
    database: Database, tmp_path: Path, changes: dict[str, object]
) -> None:
    file = tmp_path / "atelier.db"
    good, bad, alive = await finished(database), await finished(database, at_minute=1), await waiting(database)
    for job in (bad, alive):
        spec = edited(stored(file, f"SELECT spec FROM images WHERE job_id = '{job.id}'"), **changes)
        request = edited(stored(file, f"SELECT request FROM jobs WHERE id = '{job.id}'"), spec=json.loads(spec))
        change(file, "UPDATE images SET spec = ? WHERE job_id = ?", spec, job.id)
        change(file, "UPDATE jobs SET request = ? WHERE id = ?", request, job.id)

    jobs, history = JobStore(database), HistoryStore(database)
    assert {job.id for job in await jobs.fetch_unfinished()} == {alive.id}
    assert [job.id for job in await history.fetch_page(OWNER, HistoryFilter(words="lighthouse"), limit=9)][
        -1
    ] == good.id
    assert {job.id for job in await history.fetch_page(OWNER, HistoryFilter(), limit=9)} == {good.id, bad.id}
    assert (await jobs.fetch_job(bad.id)).images[0].status is Status.DONE
    assert len(await open_stores(database).content_rules.fetch_recent_prompts(GUILD)) == 3
    assert (await reconcile(database)).is_exact
    (part,) = await PersonalStore(database, clock=lambda: NOW).export(USER, part_bytes=2**20)
    with part.file:
        assert len(json.load(part.file)["tables"]["images"]) == 3
    assert f"images {alive.images[0].id}" in {each.row for each in find_unusable(database.url)}
    assert await all_of(erase_user(database, USER)) >= {good_file(good), good_file(bad, at_minute=1)}
    assert (await reconcile(database)).is_exact


def good_file(_job: Job, at_minute: int = 0) -> str:
    return f"{at_minute:064x}"


async def test_values_that_fail_new_checks_are_read_unchanged(database: Database, tmp_path: Path) -> None:
    job = await finished(database)
    spec = stored(tmp_path / "atelier.db", "SELECT spec FROM images")
    change(tmp_path / "atelier.db", "UPDATE images SET spec = ?", edited(spec, prompt=HEART, sampler="x", steps=999))
    read = (await fetch_image(JobStore(database), job.images[0].id)).spec
    assert (read.prompt, read.sampler, read.steps, read.seed) == (HEART, "x", 999, job.images[0].spec.seed)


@pytest.mark.parametrize("text", ["{not json", "", "[]", "null", '"x"', "12"])
async def test_an_unreadable_request_reads_as_an_invalid_one(database: Database, tmp_path: Path, text: str) -> None:
    good, bad = await finished(database), await waiting(database)
    change(tmp_path / "atelier.db", "UPDATE jobs SET request = ? WHERE id = ?", text, bad.id)
    found = await JobStore(database).fetch_unfinished()
    assert [job.request for job in found] == [UNREADABLE_REQUEST]
    assert (await JobStore(database).fetch_job(good.id)).request.spec.prompt == PROMPT
    assert await RetentionStore(database).fetch_strays(["e" * 64]) == {"e" * 64}, "the sweep goes on"
    (part,) = await PersonalStore(database, clock=lambda: NOW).export(USER, part_bytes=2**20)
    with part.file:
        assert len(json.load(part.file)["tables"]["jobs"]) == 2


async def test_invalid_values_outside_the_spec_are_left_out(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "atelier.db"
    job = await finished(database, judgement=SafetyScores(is_flagged=False, margins={"concept": -0.1}))
    change(file, "UPDATE images SET recipe = '{}', status = 'paused' WHERE job_id = ?", job.id)
    change(file, "UPDATE jobs SET handling = ?, boost = 9e999", '{"level": "maybe", "review_hours": 3}')
    change(file, "UPDATE images SET spec = '{}'")
    read = await JobStore(database).fetch_job(job.id)
    assert (read.images[0].recipe, read.images[0].spec) == (None, UNREADABLE_SPEC)
    assert read.images[0].status.is_end and read.boost == 1
    assert read.handling == FlaggedHandling(level=SafetyLevel.BLOCK, review_hours=3), "the part that can be read holds"
    recipe = a_recipe(job.images[0].spec)
    assert not await JobStore(database).keeps(recipe.spec, recipe.trace, recipe.pixels_sha256, OWNER)
    (part,) = await PersonalStore(database, clock=lambda: NOW).export(USER, part_bytes=2**20)
    with part.file:
        assert json.load(part.file)["tables"]["jobs"][0]["handling"] == {"level": "maybe", "review_hours": 3}
    found = {each.row.split()[0] + "." + each.problem.split(":")[0] for each in find_unusable(database.url)}
    assert found == {"images.recipe", "images.status", "images.spec", "jobs.handling"}


@pytest.mark.parametrize(
    "text", ['{"is_flagged":false,"margins":{"nsfw":null}}', '{"is_flagged":false,"margins":{"x":NaN}}', "{}", "null"]
)
async def test_a_judgement_without_its_score_stops_nothing_and_counts_as_flagged(
    database: Database, tmp_path: Path, text: str
) -> None:
    judged = SafetyScores(is_flagged=False, margins={"concept": -0.1})
    await finished(database, judgement=judged)
    bad = await finished(database, at_minute=1, judgement=judged)
    change(tmp_path / "atelier.db", "UPDATE images SET judgement = ? WHERE job_id = ?", text, bad.id)
    alive = await waiting(database)
    assert [job.id for job in await JobStore(database).fetch_unfinished()] == [alive.id]
    found = await open_stores(database).reviews.fetch_judgements(GUILD)
    assert sorted(each.is_flagged for each in found) == [False, True]
    refusals = await ModerationStore(database, clock=lambda: NOW).fetch_refusals(GUILD, USER, since=NOW)
    assert refusals.num_flagged == 1


@pytest.mark.parametrize("name", ["europe/Nowhere", "localtime/../../etc/passwd", "", "W. Europe Standard Time"])
async def test_a_time_zone_this_machine_does_not_know_is_utc(
    database: Database, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = SettingsStore(database)
    for guild_id in (GUILD, GUILD + 1):
        await store.change(
            guild_id, lambda old: replace(old, timezone="Europe/Berlin", choices=GuildPreferences(max_steps=40))
        )
    await QuotaStore(database).set_quota(GUILD, Quota(scope=Scope.GUILD, unit=Unit.IMAGES, limit=9))
    change(tmp_path / "atelier.db", "UPDATE guild_settings SET timezone = ? WHERE guild_id = ?", name, GUILD)
    zones = {each.guild_id: each.timezone for each in await store.fetch_all()}
    assert zones == {GUILD: "UTC", GUILD + 1: "Europe/Berlin"}
    assert (await store.fetch(GUILD)).choices.max_steps == 40, "only the zone is set aside"
    assert str(GUILD) in caplog.text
    await JobStore(database).accept(a_job())
    assert [each.row for each in find_unusable(database.url)] == [f"guild_settings {GUILD}"]


CHOICES = {
    '{"visibility": "thread", "max_steps": 30}': GuildPreferences(max_steps=30),
    '{"retention_days": -5, "max_steps": 30}': GuildPreferences(max_steps=30),
    '{"retention_days": 99999, "channel_ids": [4]}': GuildPreferences(channel_ids=(4,)),
    '{"of_a_newer_release": [1], "max_count": 2}': GuildPreferences(max_count=2),
    '{"models": ["a"], "default_model": "b"}': GuildPreferences(models=("a",)),
    "{": GuildPreferences(),
    "[]": GuildPreferences(),
}


@pytest.mark.parametrize(("text", "read"), CHOICES.items())
async def test_valid_settings_of_a_server_are_kept(
    database: Database, tmp_path: Path, text: str, read: GuildPreferences
) -> None:
    await SettingsStore(database).change(GUILD, lambda old: replace(old, weight=2))
    change(tmp_path / "atelier.db", "UPDATE guild_settings SET choices = ?", text)
    assert (await SettingsStore(database).fetch(GUILD)).choices == read
    limits = RetentionStore(database)
    assert await limits.has_limits() == ("99999" in text), "tidying goes on, and looks where there may be a limit"
    assert await limits.fetch_expired(["e" * 64], now=NOW) == frozenset()


@pytest.mark.parametrize("weight", [-1, 0, 1e300, "heavy", float("inf")])
async def test_invalid_weights_are_clamped(database: Database, tmp_path: Path, weight: object) -> None:
    store = SettingsStore(database)
    await store.change(GUILD, lambda old: replace(old, weight=2))
    await store.save_boost(RoleBoost(guild_id=GUILD, role_id=5, boost=2))
    change(tmp_path / "atelier.db", "UPDATE guild_settings SET weight = ?, safety = 'perhaps'", weight)
    change(tmp_path / "atelier.db", "UPDATE role_boosts SET boost = ?", weight)
    settings, boost = await store.fetch(GUILD), (await store.fetch_boosts())[0].boost
    assert 0.01 <= settings.weight <= 100 and 0.01 <= boost <= 100
    assert settings.safety is SafetyLevel.BLOCK
    assert len(find_unusable(database.url)) == 3


async def test_rules_that_cannot_be_applied_are_listed_removed_and_leave_the_others_in_force(
    database: Database, tmp_path: Path
) -> None:
    stores = open_stores(database)
    await stores.content_rules.add_rules(GUILD, [Rule(text="goblin"), Rule(text="troll"), Rule(text="orc")], by=USER)
    first, second, third = await stores.content_rules.fetch_rules(GUILD)
    file = tmp_path / "atelier.db"
    change(file, "UPDATE content_rules SET rule = ? WHERE id = ?", '{"kind":"pattern","text":"(?=x)"}', first.id)
    change(file, "UPDATE content_rules SET rule = '{' WHERE id = ?", second.id)
    stores.guild_policy.forget(GUILD)
    policy = await stores.guild_policy.fetch(GUILD)
    matches = await stores.content_rules.screen(policy, ["an orc"])
    assert [hit.rule.id for hit in policy.rules.hits(matches)] == [third.id]
    assert [rule.text for rule in await stores.content_rules.fetch_rules(GUILD)] == ["(?=x)", "?", "orc"]
    assert len(find_unusable(database.url)) == 2
    assert await stores.content_rules.add_rules(GUILD, [Rule(kind=Kind.PATTERN, text="a+b")], by=USER) == 1
    for rule in (first, second):
        await stores.content_rules.remove_rule(GUILD, rule.id, by=USER)
    assert find_unusable(database.url) == []


async def test_the_other_tables_lose_one_row_at_most(database: Database, tmp_path: Path) -> None:
    file, job = tmp_path / "atelier.db", await finished(database)
    styles, quotas = StyleStore(database), QuotaStore(database)
    for name in ("Ink", "Oil"):
        await styles.save(Style(guild_id=GUILD, name=name, prompt=f"in {name}"), ENTRY)
    change(file, "UPDATE styles SET prompt = ? WHERE name = 'Ink'", f"in {HEART}")
    assert [style.name for style in await styles.fetch_all(GUILD)] == ["Ink", "Oil"]

    for unit in Unit:
        await quotas.set_quota(GUILD, Quota(scope=Scope.GUILD, unit=unit, limit=9, window_hours=2))
    change(file, "UPDATE quotas SET unit = 'coins' WHERE unit = 'cost'")
    change(file, "UPDATE quotas SET window_hours = 99999999999, allowance = -3 WHERE unit = 'images'")
    assert [(quota.limit, quota.window_hours) for quota in await quotas.fetch_quotas(GUILD)] == [(0, 744)]
    await quotas.fetch_allowances(OWNER, role_ids=(), now=NOW)

    change(file, "UPDATE deliveries SET state = 'sent', locale = 'xx-??', token_expires_at = 'soon'")
    delivery = await DeliveryStore(database).fetch(job.id)
    assert delivery.reply_to.token_expires_at == UNREADABLE_TIME
    assert await DeliveryStore(database).fetch_due() == []

    operator = OperatorStore(database)
    await operator.set_standing(GUILD, AccessDecision.ALLOWED)
    change(file, "UPDATE guild_standings SET standing = 'watched'")
    assert not (await OperatorStore(database).admission()).is_admitted(GUILD)

    stores = open_stores(database)
    change(file, "DELETE FROM changes WHERE id = 1")
    change(file, "UPDATE changes SET text = ?", '["{missing} {0} {", {}]')
    assert len(await stores.audit_log.fetch_changes(GUILD)) == 1


async def test_a_counter_that_is_no_number_is_forgotten(database: Database, tmp_path: Path) -> None:
    store = JobStore(database)
    await store.save_counters({1: 4.0, 2: 5.0})
    change(tmp_path / "atelier.db", "UPDATE queue_counters SET counter = 9e999 WHERE guild_id = 1")
    assert await store.fetch_counters() == {2: 5.0}


async def test_a_damaged_block_key_blocks_no_request(database: Database, tmp_path: Path) -> None:
    store = ModerationStore(database, clock=lambda: NOW)
    await store.block(GUILD, USER, ENTRY, lasting=None)
    change(tmp_path / "atelier.db", "UPDATE secrets SET value = 'no hex'")
    again = ModerationStore(database, clock=lambda: NOW)
    assert await again.fetch_blocked_until(GUILD, USER + 1) is None
    await again.block(GUILD, USER, ENTRY, lasting=None)
    assert await again.fetch_blocked_until(GUILD, USER) is not None


def test_a_new_value_is_checked_also_where_it_holds_a_stored_one() -> None:
    for build in (lambda: GenerationRequest(spec=UNREADABLE_SPEC), lambda: replace(UNREADABLE_SPEC, seed=2)):
        with pytest.raises(InvalidRequestError):
            build()
