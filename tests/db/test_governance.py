"""Policies are asked at every request: read once however many ask, and never older than the last change."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from some_jobs import GUILD, NOW, USER, a_spec
from sqlalchemy import event

from db.engine import Database
from db.governance import Governance
from db.moderation import ModerationStore
from db.operating import OperatorStore
from generation.admission import Standing
from generation.choices import Choices
from generation.errors import BlockedByRule
from generation.guild import GuildSettings
from generation.policy import Asker, Place
from generation.request import GenerationRequest
from generation.rules.rule import Rule


@contextmanager
def reads(database: Database) -> Iterator[list[object]]:
    """One entry for each reading transaction that began meanwhile."""
    begun: list[object] = []

    def count(connection: object) -> None:
        begun.append(connection)

    event.listen(database._reading.sync_engine, "begin", count)
    yield begun
    event.remove(database._reading.sync_engine, "begin", count)


async def test_hundreds_of_guilds_at_once_are_one_read(database: Database) -> None:
    governance = Governance(database)
    with reads(database) as begun:
        policies = await asyncio.gather(*(governance.policy(GUILD + number) for number in range(300)))
        await asyncio.gather(*(governance.policy(GUILD + number) for number in range(300)))
    assert len(begun) == 1
    assert [each.settings.guild_id for each in policies] == [GUILD + number for number in range(300)]


async def test_rules_are_read_where_there_are_any(database: Database) -> None:
    governance = Governance(database)
    await governance.add_rules(GUILD, [Rule(text="goblin")], by=USER)
    with reads(database) as begun:
        again = Governance(database)
        with_rules, without = await again.policy(GUILD), await again.policy(GUILD + 1)
    assert len(begun) == 2
    asked = GenerationRequest(spec=a_spec(prompt="a goblin"))
    without.require_allowed(asked, Asker(user_id=USER), Place())
    with pytest.raises(BlockedByRule):
        with_rules.require_allowed(asked, Asker(user_id=USER), Place())


async def test_a_change_is_seen_by_the_next_who_asks(database: Database) -> None:
    governance = Governance(database)
    for number in (3, 4):
        settings = GuildSettings(guild_id=GUILD, choices=Choices(requests_per_minute=number))
        await governance.policy(GUILD)
        await governance.save_settings(settings, by=USER, change="for a test")
        assert (await governance.policy(GUILD)).choices.requests_per_minute == number


async def test_a_read_that_began_before_a_change_is_not_kept(database: Database) -> None:
    governance = Governance(database)
    early = asyncio.create_task(governance.policy(GUILD))
    await asyncio.sleep(0)  # it is on its way
    settings = GuildSettings(guild_id=GUILD, choices=Choices(requests_per_minute=5))
    await governance.save_settings(settings, by=USER, change="for a test")
    await early
    assert (await governance.policy(GUILD)).choices.requests_per_minute == 5


async def test_admission_and_blocks_are_one_read_each(database: Database) -> None:
    operating, moderation = OperatorStore(database), ModerationStore(database, clock=lambda: NOW)
    with reads(database) as begun:
        await asyncio.gather(*(operating.admission() for _ in range(50)))
        await asyncio.gather(*(moderation.blocked_until(GUILD, USER) for _ in range(50)))
    assert len(begun) == 2
    await operating.set_standing(GUILD, Standing.DENIED)
    await moderation.block(GUILD, USER, lasting=None)
    assert (await operating.admission()).standings == {GUILD: Standing.DENIED}
    assert await moderation.blocked_until(GUILD, USER) is not None
