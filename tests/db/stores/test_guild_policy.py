"""Every request needs the policy: it is read once for any number of callers, and never older than the last change."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
import sqlalchemy as sql
from sqlalchemy import event

from db.engine import Database
from db.stores.audit_log import Entry
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from generation.errors import BlockedByRuleError, RulesNotUsableError
from generation.policy.guild_access import AccessDecision
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.policy import ChannelContext, Requester
from generation.requests.spec import GenerationRequest
from generation.rules.errors import PatternsTooLargeError
from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import Match
from tests.db.guild_stores import open_stores
from tests.db.kinds import on_both_long
from tests.db.some_jobs import GUILD, NOW, USER, a_spec

pytestmark = on_both_long


@contextmanager
def reads(database: Database) -> Iterator[list[object]]:
    """Record each reading transaction that begins meanwhile."""
    begun: list[object] = []

    def count(connection: object) -> None:
        begun.append(connection)

    event.listen(database._reading, "begin", count)
    yield begun
    event.remove(database._reading, "begin", count)


async def test_hundreds_of_guilds_at_once_are_one_read(database: Database) -> None:
    stores = open_stores(database)
    with reads(database) as begun:
        policies = await asyncio.gather(*(stores.guild_policy.fetch(GUILD + number) for number in range(300)))
        await asyncio.gather(*(stores.guild_policy.fetch(GUILD + number) for number in range(300)))
    assert len(begun) == 1
    assert [each.settings.guild_id for each in policies] == [GUILD + number for number in range(300)]


async def test_rules_are_read_where_there_are_any(database: Database) -> None:
    stores = open_stores(database)
    await stores.content_rules.add_rules(GUILD, [Rule(text="goblin")], by=USER)
    with reads(database) as begun:
        again = open_stores(database)
        with_rules, without = await again.guild_policy.fetch(GUILD), await again.guild_policy.fetch(GUILD + 1)
    assert len(begun) == 2
    asked = GenerationRequest(spec=a_spec(prompt="a goblin"))
    asker, place = Requester(user_id=USER), ChannelContext()
    assert without.require_unblocked(await again.content_rules.screen(without, [asked.spec.prompt]), asker, place) == ()
    with pytest.raises(BlockedByRuleError):
        with_rules.require_unblocked(await again.content_rules.screen(with_rules, [asked.spec.prompt]), asker, place)


async def test_the_next_read_sees_a_change(database: Database) -> None:
    stores = open_stores(database)
    for number in (3, 4):
        settings = GuildSettings(guild_id=GUILD, choices=GuildPreferences(requests_per_minute=number))
        await stores.guild_policy.fetch(GUILD)
        await stores.guild_policy.change_settings(
            settings.guild_id, lambda _old, new=settings: new, Entry(USER, "for a test")
        )
        assert (await stores.guild_policy.fetch(GUILD)).choices.requests_per_minute == number


async def test_a_read_that_began_before_a_change_is_not_kept(database: Database) -> None:
    stores = open_stores(database)
    early = asyncio.create_task(stores.guild_policy.fetch(GUILD))
    await asyncio.sleep(0)  # it is on its way
    settings = GuildSettings(guild_id=GUILD, choices=GuildPreferences(requests_per_minute=5))
    await stores.guild_policy.change_settings(settings.guild_id, lambda _old: settings, Entry(USER, "for a test"))
    await early
    assert (await stores.guild_policy.fetch(GUILD)).choices.requests_per_minute == 5


async def test_admission_and_blocks_are_one_read_each(database: Database) -> None:
    operator, moderation = OperatorStore(database), ModerationStore(database, clock=lambda: NOW)
    with reads(database) as begun:
        await asyncio.gather(*(operator.admission() for _ in range(50)))
        await asyncio.gather(*(moderation.fetch_blocked_until(GUILD, USER) for _ in range(50)))
    assert len(begun) == 2
    await operator.set_standing(GUILD, AccessDecision.DENIED)
    await moderation.block(GUILD, USER, Entry(1, "for a test"), lasting=None)
    assert (await operator.admission()).standings == {GUILD: AccessDecision.DENIED}
    assert await moderation.fetch_blocked_until(GUILD, USER) is not None


TOO_LARGE_TOGETHER = [
    Rule(kind=Kind.PATTERN, text=f"[ac].{{{200 + number % 50}}}b|c.{{{150 + number % 40}}}e{number}")
    for number in range(40)
]


async def test_patterns_that_cannot_be_compiled_together_are_not_stored(database: Database) -> None:
    """Each may be a rule; all of them would leave the guild with rules that no start can read."""
    stores = open_stores(database)
    await stores.content_rules.add_rules(GUILD, [Rule(text="goblin")], by=USER)
    changes = await stores.audit_log.fetch_changes(GUILD)
    with pytest.raises(PatternsTooLargeError):
        await stores.content_rules.add_rules(GUILD, TOO_LARGE_TOGETHER, by=USER)
    with pytest.raises(PatternsTooLargeError):
        await stores.content_rules.add_rules(GUILD, TOO_LARGE_TOGETHER, by=USER, replacing=True)
    assert [rule.text for rule in await stores.content_rules.fetch_rules(GUILD)] == ["goblin"]
    assert await stores.audit_log.fetch_changes(GUILD) == changes
    assert await stores.content_rules.screen(await stores.guild_policy.fetch(GUILD), ["a goblin"]) == (
        Match(0, "goblin"),
    )


async def test_concurrent_additions_are_counted_together(database: Database) -> None:
    """Each half would do by itself; what is compiled is what will be there."""
    stores = open_stores(database)
    halves = [[Rule(kind=Kind.PATTERN, text=rf"[{one}].{{200}}{number}") for number in range(40)] for one in "ab"]
    told = await asyncio.gather(
        *(stores.content_rules.add_rules(GUILD, half, by=USER) for half in halves), return_exceptions=True
    )
    assert sorted(map(type, told), key=str) == sorted((int, PatternsTooLargeError), key=str)
    assert len(await stores.content_rules.fetch_rules(GUILD)) == 40


async def store_as_it_is(database: Database, text: str) -> None:
    """Store a rule as an older release, or another RE2, may have stored it."""
    statement = sql.text("INSERT INTO content_rules (guild_id, rule) VALUES (:guild, :rule)")
    await database.write(lambda session: session.execute(statement, {"guild": GUILD, "rule": text}))


async def test_unusable_stored_rules_refuse_their_guild_alone(database: Database) -> None:
    stored = [msgspec.json.encode(rule).decode() for rule in TOO_LARGE_TOGETHER]
    for text in stored:
        await store_as_it_is(database, text)
    stores = open_stores(database)
    await stores.content_rules.add_rules(GUILD + 1, [Rule(text="goblin")], by=USER)
    here, there = await stores.guild_policy.fetch(GUILD), await stores.guild_policy.fetch(GUILD + 1)
    with pytest.raises(RulesNotUsableError):
        await stores.content_rules.screen(here, ["a lighthouse"])
    assert await stores.content_rules.screen(there, ["a goblin"]) == (Match(0, "goblin"),)
    rules = await stores.content_rules.fetch_rules(GUILD)
    assert len(rules) == len(stored)
    assert "together" in str(await stores.content_rules.screener.problem(GUILD, here.rules))
    for rule in rules:
        await stores.content_rules.remove_rule(GUILD, rule.id, by=USER)
    assert await stores.content_rules.screen(await stores.guild_policy.fetch(GUILD), ["a lighthouse"]) == ()
