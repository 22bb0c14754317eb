"""What fails fails once: the tests after it do not wait for a bot that is gone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.scenarios import bot_harness
from tests.scenarios.bot_harness import LivingBot
from tests.scenarios.conftest import pytest_runtest_call


def begin_test(**given: Any) -> None:
    pytest_runtest_call(cast(pytest.Function, SimpleNamespace(funcargs=given)))


async def test_no_test_begins_with_a_bot_that_a_failure_left_stopped(
    bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find_one(folder: object) -> None:
        raise AssertionError("a task is left")

    begin_test(harness=SimpleNamespace(bot=bot), bot=bot, number=1)
    with monkeypatch.context() as patch:
        patch.setattr(bot_harness, "assert_nothing_left", find_one)
        with pytest.raises(AssertionError, match="a task is left"):
            await bot.crash()
    for given in ({"harness": SimpleNamespace(bot=bot)}, {"bot": bot}):
        with pytest.raises(pytest.fail.Exception, match="not running"):
            begin_test(**given)
    await bot.start()
    begin_test(bot=bot)
