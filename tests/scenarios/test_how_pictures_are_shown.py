"""`spoiler` and `alt`, the form for alt texts, and forms without typed numbers, over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cogs.history._messages import TITLE
from cogs.results._messages import FLAGGED
from discord_sandbox import Message
from discord_sandbox.command_options import ActionRefusedError
from generation.errors import BlockedByRuleError
from generation.jobs.errors import NotYourAltTextError
from generation.policy.guild_preferences import GuildPreferences, Spoilers
from generation.policy.guild_settings import GuildSettings
from generation.rules.rule import Rule
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, judged, press, until_done, until_shown
from tests.scenarios.test_from_option import Room
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path) -> AsyncIterator[Room]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        bot = LivingBot(discord, tmp_path_factory.mktemp("house"), blank_database)
        await bot.start()
        yield Room(discord, people, bot, people.guild.add_channel("after-dark", nsfw=True))
        await bot.stop()


def items(message: Message) -> Iterator[dict[str, Any]]:
    """Every picture that a message shows."""
    parts = list(message.components)
    while parts:
        part = parts.pop(0)
        yield from part.get("items") or ()
        parts += part.get("components") or ()


def spoilers(message: Message) -> list[bool]:
    return [bool(each["spoiler"]) for each in items(message)]


def alts(message: Message) -> list[str]:
    return [each.get("description") or "" for each in items(message)]


def menu_value(message: Message, action: str) -> tuple[str, str]:
    """The menu under a result, and its entry for an action."""
    menus = [part for row in message.components[0]["components"] for part in row.get("components") or ()]
    options = [(each["custom_id"], option["value"]) for each in menus for option in each.get("options") or ()]
    return next((menu, value) for menu, value in options if f":{action}:" in value)


async def test_a_spoiler_is_typed_and_stays(room: Room) -> None:
    ada, bo = room.people.ada, room.people.bo
    hidden = await room.paint(ada, count=2, spoiler=True)
    assert spoilers(hidden) == [True, True]
    assert not is_said(FLAGGED, hidden.text)
    assert spoilers(await room.paint(ada)) == spoilers(await room.paint(ada, spoiler=False)) == [False]
    for action, index in (("up", 0), ("vary", 1), ("reroll", None)):
        made = await until_done(room.discord, await bo.click(hidden, button_of(hidden, action, index)))
        assert all(spoilers(made)), action
    again = await until_done(room.discord, await bo.select(hidden, *wrapped(menu_value(hidden, "again"))))
    assert spoilers(again) == [True]
    started = await until_done(
        room.discord, await bo.slash("img2img", prompt="a storm", **{"from": f"{job_id_in(hidden)}-0"})
    )
    assert spoilers(started) == [True]
    shown = await until_done(
        room.discord, await bo.slash("upscale", spoiler=False, **{"from": f"{job_id_in(hidden)}-0"})
    )
    assert spoilers(shown) == [False]


def wrapped(entry: tuple[str, str]) -> tuple[str, list[str]]:
    return entry[0], [entry[1]]


async def test_a_spoiler_and_an_alt_text_stay_when_the_result_comes_after_a_restart(room: Room) -> None:
    await room.bot.hold_painting()
    asked = await room.people.ada.slash("imagine", prompt="a star", steps=1, spoiler=True, alt="A star, drawn in ink")
    await until_shown(room.discord, asked)
    await room.bot.crash()
    await room.bot.start()
    done = await until_done(room.discord, asked)
    assert (spoilers(done), alts(done)) == ([True], ["A star, drawn in ink"])


async def test_a_server_may_demand_spoilers(room: Room) -> None:
    guild_id = room.people.guild.id
    demanding = GuildPreferences(spoilers=Spoilers.ALL)
    await room.bot.choose(GuildSettings(guild_id=guild_id, choices=demanding))
    assert spoilers(await room.paint(room.people.ada, spoiler=False)) == [True]
    history = await until_shown(room.discord, await room.people.ada.slash("history"))
    await room.bot.choose(GuildSettings(guild_id=guild_id))
    assert is_said(TITLE, history.text)
    assert "Open 1" in str(history.components)
    assert "'spoiler': True" in str(history.components)


async def test_the_author_writes_alt_texts_in_a_form(room: Room) -> None:
    ada, bo = room.people.ada, room.people.bo
    grid = await room.paint(ada, count=2, alt="Two circles")
    assert alts(grid) == ["Two circles", "Two circles"]
    await room.require_refused(await press(bo, grid, "alt"), NotYourAltTextError)
    opened = await press(ada, grid, "alt")
    written = "The second circle is larger. " + "x" * 300
    await ada.submit_modal(opened, {"alt0": "", "alt1": written})
    await room.discord.wait_for(lambda: alts(grid)[1] == written)
    assert alts(grid)[0] == "1 of 2: a red circle on a blue background"
    await room.bot.stop()
    await room.bot.start()
    enlarged = await until_done(room.discord, await bo.click(grid, button_of(grid, "up", 1)))
    assert alts(enlarged) == [written], "it is the same picture"
    rerolled = await until_done(room.discord, await bo.click(grid, button_of(grid, "reroll")))
    assert alts(rerolled)[1].startswith("2 of 2: a red circle"), "these are others"
    history = await until_shown(room.discord, await ada.slash("history"))
    there = await until_shown(room.discord, await ada.click(history, "Open 1"))
    opened = await press(ada, there, "alt")
    assert [line["component"].get("value") for line in opened.modal["components"]] == [None, written]
    await ada.submit_modal(opened, {"alt0": "A small one"})
    await room.discord.wait_for(lambda: alts(grid)[0] == alts(there)[0] == "A small one")
    forged = await bo.forging.submit_modal(opened, {"alt0": "Mine"})
    await room.require_refused(forged, NotYourAltTextError)
    assert alts(grid)[0] == "A small one"


async def test_of_many_pictures_each_has_its_own_alt_text(room: Room) -> None:
    ada = room.people.ada
    many = await room.paint(ada, count=6)
    menu, value = menu_value(many, "picture")
    part = await until_shown(room.discord, await ada.select(many, menu, [value.replace(":0", ":4")]))
    opened = await press(ada, part, "alt", 4)
    assert len(opened.modal["components"]) == 1
    await ada.submit_modal(opened, {"alt4": "The fifth"})
    await room.discord.wait_for(lambda: alts(part) == ["The fifth"] and alts(many)[4] == "The fifth")
    assert alts(many)[3].startswith("4 of 6")


async def test_rules_hold_for_alt_texts(room: Room) -> None:
    ada, guild_id = room.people.ada, room.people.guild.id
    mine = await room.paint(ada)
    rule = Rule(text="gremlin", reason="No gremlins.")
    await room.bot.services.content_rules.add_rules(guild_id, [rule], by=1)
    typed = await ada.slash("imagine", prompt="a cat", alt="a gremlin")
    await room.require_refused(typed, BlockedByRuleError, reason="No gremlins.")
    opened = await press(ada, mine, "alt")
    await room.require_refused(
        await ada.submit_modal(opened, {"alt0": "a GREMLIN"}), BlockedByRuleError, reason="No gremlins."
    )
    assert "GREMLIN" not in alts(mine)[0]


async def test_forms_ask_by_choices(room: Room) -> None:
    ada = room.people.ada
    grid = await room.paint(ada, seed=7, guidance=3.2)
    opened = await ada.click(grid, button_of(grid, "remix"))
    kinds = {line["component"]["custom_id"]: line["component"]["type"] for line in opened.modal["components"]}
    assert kinds == {"prompt": 4, "negative": 4, "guidance": 21, "seed": 21, "strength": 21}
    with pytest.raises(ActionRefusedError):
        await ada.submit_modal(opened, {"guidance": "3.3"})
    same = await room.finish(await ada.submit_modal(opened, {}))
    spec = same.request.spec
    assert (spec.seed, spec.guidance, spec.start) == (7, 3.2, None)
    other = await room.finish(await ada.submit_modal(opened, {"seed": "none", "strength": "0.3"}))
    assert other.request.spec.start is not None
    assert other.request.spec.start.strength == 0.3
    old = await room.finish(await ada.forging.submit_modal(opened, {"guidance": "5,5", "seed": "11", "strength": ""}))
    assert (old.request.spec.guidance, old.request.spec.seed) == (5.5, 11), "as a form of an earlier version sends it"
    region = await ada.select(grid, *wrapped(menu_value(grid, "region")))
    boxes = {line["component"]["custom_id"]: line["component"] for line in region.modal["components"]}["cells"]
    assert (boxes["type"], len(boxes["options"])) == (22, 9)
    job = await room.finish(await ada.submit_modal(region, {"cells": ["0", "4"], "strength": "1.0"}))
    assert job.request.spec.start is not None
    assert job.request.spec.start.cells == (0, 4)
