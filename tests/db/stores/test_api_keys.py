"""Keys of the API, on either database: found by their hash while they last, and forgotten after they ended."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from db.engine import Database
from db.running_time import CONFIRMED_BY
from db.stores.api_keys import ENDED_KEPT, NOTED_EVERY, ApiKeyStore
from db.stores.audit_log import AuditLogStore, Entry
from generation.owner import Owner
from generation.policy.errors import UnknownKeyError
from tests.db.kinds import on_both
from tests.db.some_jobs import GUILD, NOW, USER

pytestmark = on_both
ADA, BO = Owner(GUILD, USER), Owner(GUILD, USER + 1)


class Clock:
    now = NOW

    def __call__(self) -> datetime:
        return self.now


async def test_a_key_is_found_until_it_is_revoked(database: Database) -> None:
    clock = Clock()
    keys = ApiKeyStore(database, clock=clock)
    mine, other = await keys.create(ADA, "mine", Entry(USER, "made", NOW)), await keys.create(BO, "mine")
    for secret, owner in ((mine, ADA), (other, BO)):
        found = await keys.find(secret)
        assert found is not None and found.owner == owner
    assert await keys.find(mine[:-1]) is None
    clock.now += NOTED_EVERY / 2
    await keys.find(mine)
    assert [each.used_at for each in await keys.fetch_live(ADA)] == [NOW], "a use is noted once a minute"
    clock.now += NOTED_EVERY
    await keys.find(mine)
    assert [each.used_at for each in await keys.fetch_live(ADA)] == [clock.now]
    await keys.revoke(ADA, "mine", Entry(USER, "revoked", NOW))
    assert await keys.find(mine) is None and await keys.find(other) is not None
    with pytest.raises(UnknownKeyError):
        await keys.revoke(ADA, "mine", Entry(USER, "revoked", NOW))
    changes = await AuditLogStore(database).fetch_changes(GUILD)
    assert sorted(each.text for each in changes) == ["made", "revoked"]


async def test_an_ended_key_is_forgotten_after_a_month(database: Database) -> None:
    clock = Clock()
    keys = ApiKeyStore(database, clock=clock)
    await keys.create(ADA, "ended")
    await keys.create(ADA, "live")
    await keys.revoke(ADA, "ended")

    async def count() -> int:
        return await database.read(lambda session: session.scalar(text("SELECT count(*) FROM api_keys")))

    seconds = [0.0]
    database.running.__init__(lambda: seconds[0])  # type: ignore[misc]
    clock.now += ENDED_KEPT + timedelta(days=2)
    await keys.forget_ended()
    assert await count() == 2, "a day of running has to confirm the clock"
    seconds[0] += CONFIRMED_BY.total_seconds()
    clock.now += CONFIRMED_BY
    await keys.forget_ended()
    assert await count() == 1
    assert [each.name for each in await keys.fetch_live(ADA)] == ["live"]
