"""A Discord, a server with people in it, and a running bot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from discord_sandbox import Sandbox
from tests.scenarios.bad_input_harness import harness as harness
from tests.scenarios.bot_harness import LivingBot, People, judged
from tests.tally import Tally


def pytest_runtest_call(item: pytest.Function) -> None:
    """Fail a test at once whose bot an earlier one left stopped: it would wait until its patience is over."""
    for given in item.funcargs.values():
        bot = getattr(given, "bot", given)
        if isinstance(bot, LivingBot) and bot.is_running is False:
            pytest.fail("The bot is not running: an earlier test of this file stopped it and failed.", pytrace=False)


@pytest.fixture
async def discord(tally: Tally) -> AsyncIterator[Sandbox]:
    async with judged(tally) as server:
        yield server


@pytest.fixture
def people(discord: Sandbox) -> People:
    return People.settle(discord)


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database to copy, so that not every test migrates its own."""
    from db.engine import parse_url
    from db.migrate import migrate

    path = tmp_path_factory.mktemp("blank") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def bot(discord: Sandbox, people: People, tmp_path: Path, blank_database: Path) -> AsyncIterator[LivingBot]:
    """The whole bot, running and connected."""
    living = LivingBot(discord, tmp_path, blank_database)
    await living.start()
    yield living
    await living.stop()
