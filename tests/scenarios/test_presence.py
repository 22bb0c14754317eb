"""The bot's status says how much there is to do, seldom, and names neither server nor member."""

from __future__ import annotations

from pathlib import Path

import pytest

from cogs.presence import _cog
from cogs.presence._messages import format_status
from discord_sandbox import Sandbox
from discord_sandbox.presence import MAX_UPDATES, WINDOW_S
from tests.scenarios.bot_harness import LivingBot, People, judged, until_shown
from tests.tally import Tally

PRESENCE = 3


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> float:
    """The pause between two looks, before it was made short."""
    pause_s = _cog.EVERY_S
    monkeypatch.setattr(_cog, "EVERY_S", 0.01)
    return pause_s


def count_updates(discord: Sandbox) -> int:
    return sum(event.op == PRESENCE and not event.is_sent for event in discord.journal.events)


async def test_the_status_follows_the_queue_and_a_new_session(
    hurried: float, tally: Tally, tmp_path: Path, blank_database: Path
) -> None:
    assert WINDOW_S / hurried * 3 < MAX_UPDATES, "far below what Discord takes"
    async with judged(tally) as discord:
        people, bot = People.settle(discord), LivingBot(discord, tmp_path, blank_database)
        await bot.start()
        await discord.wait_for(lambda: discord.application.presence == "ready: /imagine")
        await bot.hold_painting()
        asked = await people.ada.slash("imagine", prompt="a star", count=4)
        await until_shown(discord, asked)
        await discord.wait_for(lambda: discord.application.presence.startswith("painting"))
        assert not {"ada", "Harbour"} & set(discord.application.presence.replace(",", "").split())
        seen = count_updates(discord)
        before = bot.client.get_cog("Presence")
        assert isinstance(before, _cog.Presence)
        for _ in range(3):
            await before._update()
        assert count_updates(discord) == seen, "what is the same is not said again"
        bot.go_on_painting()
        await discord.wait_for(lambda: discord.application.presence == "ready: /imagine")
        await discord.gateway.close_all(4009)  # the session is over: the next has no status
        await discord.wait_for(lambda: discord.gateway.num_identifies == 2)
        await discord.wait_for(lambda: discord.application.presence == "ready: /imagine")
        await bot.stop()


async def test_the_status_can_be_switched_off(
    hurried: float, tally: Tally, tmp_path: Path, blank_database: Path
) -> None:
    async with judged(tally) as discord:
        people, bot = People.settle(discord), LivingBot(discord, tmp_path, blank_database)
        bot.settings = bot.settings.model_copy(update={"presence": False})
        await bot.start()
        await until_shown(discord, await people.ada.slash("about"))
        assert count_updates(discord) == 0
        await bot.stop()


@pytest.mark.parametrize(
    ("running", "waiting", "closed", "paused", "text"),
    [
        (0, 0, False, False, "ready: /imagine"),
        (0, 0, True, False, "closed for now"),
        (2, 0, False, False, "painting"),
        (2, 3, True, False, "painting, 3 waiting"),
        (0, 1234, False, True, "paused, 1234 waiting"),
        (0, 0, False, True, "paused"),
    ],
)
def test_what_the_status_says(running: int, waiting: int, closed: bool, paused: bool, text: str) -> None:
    assert format_status(running, waiting, is_closed=closed, is_paused=paused) == text
