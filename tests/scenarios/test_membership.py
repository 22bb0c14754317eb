"""No server is ever taken for one that removed the bot, whatever part of Discord a process sees."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogs.onboarding._membership import MAX_ASKED, Membership
from cogs.roster import Roster
from db.admin.removed_guilds import RemovedGuildStore
from db.engine import Database
from db.stores.settings import SettingsStore
from discord_sandbox import Sandbox
from discord_sandbox.snowflake import compute_shard
from generation.clock import utc_now
from generation.policy.guild_settings import GuildSettings
from tests.scenarios.bot_harness import LivingBot, People, until_done
from tests.scenarios.test_departures import until_gone

SERVERS = tuple(number << 22 for number in range(1, 9))
CALM = frozenset[int]()
some = st.frozensets(st.sampled_from(SERVERS))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("ready"), st.integers(0, 2), some, some),
        st.tuples(st.sampled_from(("join", "leave")), st.sampled_from(SERVERS), st.booleans(), st.none()),
        st.tuples(st.just("reshard"), st.integers(1, 3), st.none(), st.none()),
    ),
    max_size=12,
)


class Process:
    """One process of the bot: the real roster, record and database, told by a Discord of sets."""

    def __init__(self, store: RemovedGuildStore) -> None:
        self.store = store
        self.truth, self.mute = set(SERVERS), CALM
        self.num_shards = 2
        self.roster = Roster()
        self.membership = Membership(self.roster, store, ask=self._ask, is_over=lambda: False)

    async def _ask(self, guild_id: int) -> bool | None:
        return None if guild_id in self.mute else guild_id in self.truth

    async def ready(self, shard_id: int, unnamed: frozenset[int] = CALM, mute: frozenset[int] = CALM) -> None:
        """READY of a shard, which may leave servers out, and a Discord that gives no answer about others."""
        self.mute = mute
        named = {each for each in self.truth - unnamed if compute_shard(each, self.num_shards) == shard_id}
        self.roster.start_shard(shard_id, self.num_shards, named)
        await self.membership.handle_ready(shard_id)

    async def take(self, kind: str, subject: int, third: object, fourth: object) -> None:
        if kind == "ready":
            assert isinstance(third, frozenset) and isinstance(fourth, frozenset)
            await self.ready(subject % self.num_shards, third, fourth)
        elif kind == "reshard":
            self.num_shards, self.roster = subject, Roster()
            self.membership = Membership(self.roster, self.store, ask=self._ask, is_over=lambda: False)
        else:
            (self.truth.add if kind == "join" else self.truth.discard)(subject)
            if third:  # otherwise it happens while the bot is away
                handle = self.membership.handle_join if kind == "join" else self.membership.handle_removal
                await handle(subject)

    async def removed(self) -> set[int]:
        return set(SERVERS) - await self.store.fetch_present()


@pytest.fixture
async def store(tmp_path: Path, blank_database: Path) -> AsyncIterator[RemovedGuildStore]:
    shutil.copy(blank_database, tmp_path / "atelier.db")
    async with await Database.open(f"sqlite:///{tmp_path / 'atelier.db'}", tmp_path) as database:
        for guild_id in SERVERS:
            await SettingsStore(database).change(guild_id, lambda old: replace(old, weight=2.0))
        yield RemovedGuildStore(database, clock=utc_now, grace=timedelta(days=30))


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps)
async def test_only_a_server_that_has_removed_the_bot_is_noted(
    store: RemovedGuildStore, history: list[tuple[str, int, object, object]]
) -> None:
    await store.mark_returned(SERVERS)
    process = Process(store)
    for step in history:
        before = await process.removed()
        await process.take(*step)
        assert not (await process.removed() - before) & process.truth, step
    for shard_id in range(process.num_shards):
        await process.ready(shard_id)
    assert await process.removed() == set(SERVERS) - process.truth, "and each of those that have is found"


async def test_a_process_with_one_shard_says_nothing_of_the_others(store: RemovedGuildStore) -> None:
    process = Process(store)
    process.truth = set()
    await process.ready(1)
    assert await process.removed() == {each for each in SERVERS if compute_shard(each, 2) == 1}


async def test_a_crowd_of_servers_is_asked_about_by_and_by(store: RemovedGuildStore) -> None:
    asked: list[int] = []

    async def ask(guild_id: int) -> bool | None:
        asked.append(guild_id)
        return None

    async def fetch_many() -> set[int]:
        return {number << 22 for number in range(3 * MAX_ASKED)}

    store.fetch_present = fetch_many  # type: ignore[method-assign]
    roster = Roster()
    roster.start_shard(0, 1, ())
    await Membership(roster, store, ask=ask, is_over=lambda: False).handle_ready(0)
    assert len(asked) == MAX_ASKED


async def test_what_an_incomplete_ready_leaves_out_stays(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """And a server that is down; one that has gone meanwhile is found by the same READY."""
    await until_done(discord, await people.ada.slash("imagine", prompt="a red circle", steps=1))
    down, gone = discord.add_guild("Down"), discord.add_guild("Gone")
    for guild in (down, gone):
        await bot.choose(GuildSettings(guild_id=guild.id, weight=2.0))
    await bot.stop()
    discord.faults.start_outage(down)
    gone.kick_bot()
    discord.faults.alter_event("READY", lambda data: data | {"guilds": []})
    await bot.start()
    await until_gone(bot, gone)  # the last of the three that is asked about
    assert not await bot.services.removed_guilds.is_gone(down.id)
    assert not await bot.services.removed_guilds.is_gone(people.guild.id)
