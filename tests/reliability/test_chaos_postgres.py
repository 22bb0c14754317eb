"""`chaos` on PostgreSQL: its server is restarted, and ends the bot's sessions, while the bot is at work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import postgres
from tests.reliability.chaos import SURE_S, TO_BE_ZERO, Chaos
from tests.reliability.database_faults import END_SESSIONS, RESTART
from tests.reliability.waiting import until


class OnlyTheDatabase(Chaos):
    """Strikes at nothing else, in one life."""

    async def _faults(self) -> None:
        life = await self._begin("")
        for way in (RESTART, END_SESSIONS):
            self._crowd.ask()
            await until(lambda: life.is_over or self._has_news(), timeout_s=SURE_S)
            await self._strike_database(life, way)
        await life.kill()


@pytest.mark.parametrize(("kind", "kills"), [(OnlyTheDatabase, 0), pytest.param(Chaos, 40, marks=pytest.mark.long)])
async def test_nothing_is_lost_doubled_or_charged_twice(tmp_path: Path, kind: type[Chaos], kills: int) -> None:
    with postgres.serve(durable=True) as server:
        figures = await kind(tmp_path, kills=kills, seed=6, server=server).run()
    assert figures["jobs"]
    assert {name: figures[name] for name in TO_BE_ZERO} == dict.fromkeys(TO_BE_ZERO, 0), figures
    strikes = figures["database_strikes"]
    assert isinstance(strikes, dict)
    assert strikes.keys() == {RESTART, END_SESSIONS}
