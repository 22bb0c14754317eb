"""No question of the bot's goes through a table with a row for each picture, nor through all of a guild or a member.

The bot never gathers statistics (`ANALYZE`), so SQLite plans a query the same way for no rows as for a million.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from db.admin import erasure
from db.admin.removed_guilds import RemovedGuildStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.models import Base
from db.stores.deliveries import DeliveryStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.shares import ShareStore
from db.stores.usage import UsageStore
from generation.jobs.history import HistoryFilter
from generation.owner import Owner
from tests.db.guild_stores import open_stores
from tests.db.some_jobs import GUILD, NOW, USER, a_job
from tests.db.stores.test_query_plans import OF_A_SERVER, Ask, plan

OWNER, DAYS = Owner(GUILD, USER), [date(2026, 2, 1), date(2026, 2, 2)]
LARGE = {"jobs", "images", "image_files", "deliveries", "ledger", "balances"}
"""A row or more for each picture."""
SMALL = {
    "api_keys": "at most ten a member, and ended ones for 30 days",
    "departures": "the guilds that removed the bot",
    "guild_settings": "one a guild",
    "reports": "what moderators have not looked at yet",
    "reviews": "what moderators have not looked at yet",
    "shares": "one a post that stands; looked through beside the bot's work",
}
"""Tables that may be gone through, and why."""
_PARTIAL = re.compile(r"ix_(images_alive|images_withheld|deliveries_due)\b")
_ALL_OF_ONE = re.compile(r"\((guild_id|member_key)=\?\)$")


def _page(look: HistoryFilter) -> Ask:
    return lambda database: HistoryStore(database).fetch_page(OWNER, look, limit=9, before=NOW)


IN_ORDER: dict[str, Ask] = {  # of an index: only as many rows are read as are asked for
    "page": _page(HistoryFilter()),
    "words": _page(HistoryFilter(words="sea grün 海")),
    "last in a channel": lambda database: HistoryStore(database).fetch_last(OWNER, 2),
    "guilds of a member": lambda database: HistoryStore(database).fetch_guilds(USER),
    "judgements": OF_A_SERVER["judgements"],
    "recent prompts": OF_A_SERVER["recent prompts"],
    "jobs of a guild": lambda database: database.read_apart(
        partial(erasure._jobs_of_guild, guild_id=GUILD, after=(NOW, "x"))
    ),
}
OTHERS: dict[str, Ask] = {
    "favourites": _page(HistoryFilter(favourites=True)),
    "showcase": OF_A_SERVER["showcase"],
    "most refused": OF_A_SERVER["most refused"],
    "refusals": OF_A_SERVER["refusals"],
    "kin": lambda database: HistoryStore(database).fetch_kin(a_job()),
    "withheld": lambda database: JobStore(database).num_withheld(OWNER, since=NOW),
    "unfinished": lambda database: JobStore(database).fetch_unfinished(),
    "due": lambda database: DeliveryStore(database).fetch_due(),
    "guilds": lambda database: RemovedGuildStore(database, clock=lambda: NOW, grace=timedelta(days=1)).fetch_present(),
    "reviews": lambda database: open_stores(database).reviews.fetch_reviews(GUILD),
    "number of reviews": lambda database: open_stores(database).reviews.count_waiting(),
    "list of reviews": lambda database: open_stores(database).reviews.fetch_waiting([GUILD, 2], limit=9),
    "orphans": lambda database: ShareStore(database).fetch_orphans(),
    "shared files": lambda database: ShareStore(database).fetch_files(),
    "limits": lambda database: RetentionStore(database).has_limits(),
    "strays": lambda database: RetentionStore(database).fetch_strays(["a" * 64]),
    "usage by day": lambda database: UsageStore(database).fetch_days(GUILD, DAYS, zone=ZoneInfo("UTC"), user_id=USER),
    "usage of all": lambda database: UsageStore(database).fetch_days_of_all(DAYS),
    "usage by guild": lambda database: UsageStore(database).fetch_guilds(since=NOW),
    "usage by member": lambda database: UsageStore(database).fetch_members(GUILD, since=NOW),
    "members of a guild": lambda database: database.read(partial(erasure._keys_in_guild, guild_id=GUILD, after=0)),
}


def find_scans(steps: list[str], *, is_ordered: bool = False) -> list[str]:
    """Return the steps that go through a whole table, or through all of one guild or member unless `is_ordered`."""
    return [step for step in steps if _is_scan(step, is_ordered=is_ordered)]


def _is_scan(step: str, *, is_ordered: bool) -> bool:
    way, name = (*step.split(), "")[:2]
    table = re.sub(r"_\d+$", "", name)
    if table not in Base.metadata.tables or table in SMALL or _PARTIAL.search(step):
        return False
    is_of_one = table in LARGE and _ALL_OF_ONE.search(step) is not None
    return way == "SCAN" or "AUTOMATIC" in step or (is_of_one and not is_ordered)


async def _plan(database: Database, ask: Ask) -> list[str]:
    await JobStore(database).accept(a_job())  # a member who is unknown has nothing to look for
    return await plan(database, ask) + await plan(database, ask, database._apart)


@pytest.mark.parametrize("name", OTHERS)
async def test_a_question_is_answered_by_an_index(database: Database, name: str) -> None:
    steps = await _plan(database, OTHERS[name])
    assert steps
    assert find_scans(steps) == []


@pytest.mark.parametrize("name", IN_ORDER)
async def test_the_newest_are_read_in_the_order_of_an_index(database: Database, name: str) -> None:
    steps = await _plan(database, IN_ORDER[name])
    assert steps
    assert find_scans(steps, is_ordered=True) == []


async def test_what_waits_for_a_member_is_found_without_their_other_jobs(database: Database) -> None:
    """In the writer: an erasure asks it, and others wait."""
    await JobStore(database).accept(a_job())
    end = partial(erasure._end_some, user_id=USER, at=NOW)
    steps = await plan(database, lambda database: database.write(end), database._writing)
    assert steps
    assert find_scans(steps) == []


async def test_control_a_scan_is_noticed(database: Database) -> None:
    every = await plan(database, lambda database: database.read(lambda session: _say(session, "SELECT * FROM jobs")))
    of_one = "SELECT count(*) FROM jobs WHERE guild_id = 1"
    guild = await plan(database, lambda database: database.read(lambda session: _say(session, of_one)))
    assert len(find_scans(every)) == len(find_scans(guild)) == 1
    assert find_scans(guild, is_ordered=True) == []


def _say(session: Session, statement: str) -> object:
    return session.connection().exec_driver_sql(statement).all()
