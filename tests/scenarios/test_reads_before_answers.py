"""What is read before the first answer does not grow with the database: Discord waits 3 s for that answer.

Every command, menu, button and form is used once, and every statement before its first answer is explained by SQLite.
A table that grows without end is read by a row's identity, or in the order of an index up to a LIMIT; what cannot be
read so is read after the acknowledgement.
"""

from __future__ import annotations

import re
import sqlite3
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import discord
import pytest
import pytest_asyncio
from sqlalchemy import event

from cogs.common.messages import Action
from cogs.moderation._decisions import DECISIONS as VERBS
from cogs.registered import load_offline_bot as registered_offline
from cogs.settings._fields import PAGES
from db.stores.audit_log import Entry
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.models.catalog import Catalog
from generation.models.controls import ControlFile
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.requests.style import Style
from generation.rules.rule import Rule
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, judged, until_done, until_shown
from tests.scenarios.bot_harness import press as press_under
from tests.scenarios.every_command import answer_to, filled, registered
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
RED = "a red circle on a blue background"
CONTEXT_MENUS = tuple(menu.name for menu in registered_offline().context_menus)
SMALL = {
    *(
        "CONSTANT",
        "operator_choices",
        "guild_standings",
        "secrets",
        "guild_settings",
        "blocks",
        "departures",
    ),  # a row a server
    *("content_rules", "styles", "quotas", "role_boosts", "queue_counters"),  # bounded in each server
    "api_keys",  # bounded for each member, and ended ones go after 30 days
}
IDENTITIES = {"id", "rowid", "job_id", "image_id", "key", "user_id", "sha256"}
"""Columns of which a value names one thing: a job has a few pictures, one delivery; a file is of one picture, and of
those that were painted again to the same bytes."""
STEP = re.compile(r"(?:SCAN|SEARCH) (\w+)(?:.*\((.*)\))?")
Statement = tuple[str, Any]
Work = Callable[[Any], Any]
UNANSWERED = ContextVar("unanswered", default=False)


def grows(connection: sqlite3.Connection, statement: Statement) -> list[str]:
    """What SQLite would do for this statement that takes longer the more there is."""
    steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement[0]}", statement[1])]
    is_limited = "LIMIT" in statement[0] and not any("TEMP B-TREE" in step for step in steps)
    return [step for step in steps if (found := STEP.match(step)) and not is_bounded(found, is_limited=is_limited)]


def is_bounded(step: re.Match[str], *, is_limited: bool) -> bool:
    named = set(re.findall(r"(\w+)=\?", step[2] or ""))
    if step[1] == "member_preferences" and named == {"member_key"}:
        return True  # a row a member
    return step[1] in SMALL or bool(named & IDENTITIES) or (is_limited and bool(named))


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot
    heard: list[Statement] = field(default_factory=list)
    """What was said to the database for an interaction that had no answer yet."""

    async def complaints(self, name: str, use: Callable[[], Awaitable[Interaction]]) -> list[str]:
        self.heard.clear()
        used = await use()
        assert used.acknowledged is not None
        return [f"{name}: {each}" for each in self.what_grows()]

    def what_grows(self) -> list[str]:
        with closing(sqlite3.connect(self.bot.data_dir / "atelier.db")) as connection:
            return [f"{step} <- {each[0]}" for each in self.heard for step in grows(connection, each)]

    async def painted(self) -> Message:
        return await until_done(self.discord, await self.people.ada.slash("imagine", prompt=RED, seed=7, steps=1))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        people.ada.member.roles.append(people.guild.add_role("everything", int(Permission.ADMINISTRATOR)))
        bot = LivingBot(discord, tmp_path_factory.mktemp("answers"), blank_database, owner_ids={people.ada.user.id})
        await bot.start()
        made = Harness(discord, people, bot)
        guild_id, services = people.guild.id, bot.services
        await services.content_rules.add_rules(guild_id, [Rule(text="goblin")], by=people.ada.user.id)
        await services.styles.save(
            Style(guild_id=guild_id, name="ink", prompt="in ink", negative=""), Entry(1, "for a test")
        )
        listen(made)
        yield made
        await bot.stop()


def listen(harness: Harness) -> None:
    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, is_many: bool) -> None:
        if UNANSWERED.get() and statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
            harness.heard.append((statement, parameters[0] if is_many else parameters))

    database: Any = harness.bot.database
    database.read, database.read_apart = marked(database.read), marked(database.read_apart)
    database.write = marked(database.write)
    for engine in (database._writing, database._reading, database._apart):
        event.listen(engine, "before_cursor_execute", note)


def marked(run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """`run`, with the work marked where an interaction waits for it: painting and delivery go on meanwhile."""

    async def calling(work: Work, **options: Any) -> Any:
        frames = traceback.walk_stack(sys._getframe())
        asked_for = (frame.f_locals.get("interaction") for frame, _line in frames)
        interaction = next((each for each in asked_for if isinstance(each, discord.Interaction)), None)
        if interaction is None or interaction.response.is_done():
            return await run(work, **options)

        def marked_work(session: Any) -> Any:
            before = UNANSWERED.set(True)
            try:
                return work(session)
            finally:
                UNANSWERED.reset(before)

        return await run(marked_work, **options)

    return calling


def is_said(used: Interaction) -> bool:
    """Whether nothing more is said at once: what was read after the acknowledgement has been read."""
    first = used.original_message
    return bool(used.followups or used.modal or used.acknowledged.type == 6 or (first and not first.is_loading))


async def test_no_command_reads_what_grows_before_it_answers(harness: Harness) -> None:
    ada, message = harness.people.ada, await harness.painted()
    more: list[tuple[str, dict[str, Any]]] = [
        ("recipe", {"picture": job_id_in(message)}),
        ("reproduce", {"picture": job_id_in(message)}),
        ("imagine", {"prompt": RED, "style": "ink", "steps": 1}),
        ("usage", {"whose": "server"}),
        ("privacy", {"what": "export"}),
        ("history", {"show": "favourites"}),
        ("quota set", {"limit": 900, "member": harness.people.bo.user}),
        ("rules remove", {"number": 1}),
    ]
    plain = [(name, filled(each, harness.people)) for name, each in registered(harness.discord.commands)]
    wrong: list[str] = []
    for name, options in [*plain, *more]:
        wrong += await harness.complaints(f"/{name}", lambda: ada.forging.slash(name, **options))  # noqa: B023
    await harness.bot.services.operator.set_listed_only(False)
    assert not wrong, "\n".join(wrong)


async def message_with(harness: Harness, action: Action) -> Message:
    """A message under which that button, or a menu with it, stands."""
    ada = harness.people.ada
    if action in (Action.OPEN, Action.HISTORY):
        return await of_history(harness)
    if action in (Action.CANCEL, Action.TELL):
        return await until_shown(harness.discord, await ada.slash("imagine", prompt="slow-image", steps=8))
    if action in (Action.PAGE, Action.PURGE):
        asked = await (ada.slash("rules list") if action is Action.PAGE else ada.slash("purge", member=ada.user))
        await harness.discord.wait_for(lambda: is_said(asked))
        return asked.followups[-1] if asked.followups else await until_shown(harness.discord, asked)
    if action in (Action.SHARE, Action.UNSHARE, Action.REPORT):
        return await of_sharing(harness, action)
    if action in (Action.PICTURE, Action.ORIGINALS):
        return await until_done(harness.discord, await ada.slash("imagine", prompt=RED, steps=1, count=5))
    return await harness.painted()


async def press(harness: Harness, action: Action) -> Interaction:
    """Press a button where it stands: among the buttons, or in a menu."""
    message = await message_with(harness, action)
    who = harness.people.ada if action in MANAGED else harness.people.bo
    there = harness.discord.act_as(harness.people.guild.members[who.user.id], message.channel)
    return await press_under(there, message, action)


async def of_sharing(harness: Harness, action: Action) -> Message:
    """A result that may be shared, one that was, or the post of it."""
    guild, discord = harness.people.guild, harness.discord
    showcase = guild.add_channel(f"showcase-{action}")
    choices = GuildPreferences(share_channel_id=showcase.id)
    await harness.bot.choose(GuildSettings(guild_id=guild.id, choices=choices))
    await discord.wait_for(lambda: harness.bot.client.get_channel(showcase.id) is not None)
    message = await harness.painted()
    if action is Action.SHARE:
        return message
    await press_under(harness.people.ada, message, Action.SHARE)
    await discord.wait_for(lambda: showcase.messages and f":{Action.UNSHARE}:" in str(message.components))
    return message if action is Action.UNSHARE else showcase.messages[-1]


MANAGED = {Action.CANCEL, Action.DELETE, Action.PAGE, Action.PURGE, Action.ALT, Action.SHARE, Action.UNSHARE}
"""What is pressed by an administrator here: a member may only do it to what is theirs."""


async def test_no_button_reads_what_grows_before_it_answers(harness: Harness) -> None:
    many = [Rule(text=f"phrase number {number}", reason="why " * 40) for number in range(100)]
    await harness.bot.services.content_rules.add_rules(harness.people.guild.id, many, by=harness.people.ada.user.id)
    handlers, wrong = harness.bot.client.button_handlers, list[str]()
    assert {Action.PAGE, Action.PURGE, Action.CANCEL, Action.VARY} < handlers.keys()
    for action in handlers:
        wrong += await harness.complaints(action, lambda: press(harness, action))  # noqa: B023
    assert not wrong, "\n".join(wrong)


async def test_no_menu_or_form_reads_what_grows_before_it_answers(harness: Harness) -> None:
    ada, bo, wrong = harness.people.ada, harness.people.bo, list[str]()
    shown = await harness.painted()
    for name in CONTEXT_MENUS:
        wrong += await harness.complaints(name, lambda: bo.context_menu(name, shown))  # noqa: B023
    panel = (await ada.slash("settings")).original_message
    assert panel is not None
    await ada.click(panel, "atelier-set:styles:open")
    following = harness.bot.generation.catalog
    net = ControlFile(name="edges", path=Path("edges"), sha256="a" * 64, family="sd")
    harness.bot.generation.catalog = Catalog(tuple(replace(each, controls=(net,)) for each in following.models))
    forms: dict[Action, tuple[ScriptedUser, Interaction, dict[str, Any]]] = {
        Action.REMIX: (bo, await press(harness, Action.REMIX), {"prompt": "a fox"}),
        Action.REGION: (bo, await press(harness, Action.REGION), {"cells": ["4"], "prompt": "a blue square"}),
        Action.START: (bo, await bo.context_menu("Use as start image", shown), {"prompt": "x", "strength": "0.5"}),
        Action.GUIDE: (bo, await bo.context_menu("Use as guide", shown), {"prompt": "x"}),
        Action.STYLE: (ada, await ada.click(panel, "Add a style"), {"name": "oil", "prompt": "in oil", "negative": ""}),
        Action.ALT: (ada, await press(harness, Action.ALT), {"alt0": "A red disc"}),
        Action.LIST: (ada, await ada.slash("list add", name="pet"), {"lines": "cat\ndog"}),
    }
    assert forms.keys() == harness.bot.client.form_handlers.keys()
    for action, (who, opened, typed) in forms.items():
        wrong += await harness.complaints(f"form {action}", lambda: who.submit_modal(opened, typed))  # noqa: B023
    assert not wrong, "\n".join(wrong)


def ids(message: Message) -> list[str]:
    return [each["custom_id"] for each in message.list_components() if "custom_id" in each]


async def of_history(harness: Harness) -> Message:
    for _ in range(4):  # more than a page
        await until_done(harness.discord, await harness.people.bo.slash("imagine", prompt=RED, steps=1))
    asked = await harness.people.bo.slash("history")
    await harness.discord.wait_for(lambda: is_said(asked))
    assert asked.original_message is not None
    return asked.original_message


async def test_nothing_of_the_panel_and_the_review_reads_what_grows_before_it_answers(harness: Harness) -> None:
    ada, wrong = harness.people.ada, []
    panel = (await ada.slash("settings")).original_message
    assert panel is not None
    pages = [each for each in ids(panel) if each.endswith(":open")]
    assert {f"atelier-set:{page}:open" for page in PAGES} <= set(pages)
    for page in pages:
        await ada.click(panel, page)
        for custom_id in ids(panel):
            wrong += await harness.complaints(custom_id, lambda: touch(harness, panel, custom_id))  # noqa: B023
            await ada.click(panel, page)
    for verb in VERBS:
        await answer_to(
            harness.discord, await harness.people.bo.context_menu("Report picture", await harness.painted())
        )
        asked = await ada.slash("review")
        await answer_to(harness.discord, asked)
        queue = asked.original_message
        assert queue is not None
        custom_id, before = next(each for each in ids(queue) if f":{verb}:" in each), queue.revisions
        wrong += await harness.complaints(custom_id, lambda: ada.click(queue, custom_id))  # noqa: B023
        await harness.discord.wait_for(lambda: queue.revisions > before, timeout_s=60)  # noqa: B023
    await harness.bot.services.moderation.unblock(
        harness.people.guild.id, harness.people.bo.user.id, Entry(1, "for a test")
    )
    assert not wrong, "\n".join(wrong)


async def touch(harness: Harness, panel: Message, custom_id: str) -> Interaction:
    component = panel.component(custom_id)
    if component["type"] == 2:
        return await harness.people.ada.click(panel, custom_id)
    shown = [each["value"] for each in component.get("options", ()) if each.get("default")]
    first = shown[:1] or [each["value"] for each in component.get("options", ())][:1]
    chosen = {3: first, 6: [harness.people.guild.everyone], 8: [harness.people.general]}
    return await harness.people.ada.select(panel, custom_id, chosen[component["type"]])


async def test_what_is_offered_while_typing_reads_little(harness: Harness) -> None:
    for command, option in (
        ("imagine", "style"),
        ("imagine", "model"),
        ("imagine", "lora"),
        ("cancel", "picture"),
        ("style remove", "name"),
        ("list remove", "name"),
    ):
        harness.heard.clear()
        await harness.people.ada.forging.autocomplete(command, focused=option, value="")
        with closing(sqlite3.connect(harness.bot.data_dir / "atelier.db")) as connection:
            assert [
                grows(connection, each) for each in harness.heard if each is not None and grows(connection, each)
            ] == []


async def test_the_rule_above_finds_what_it_is_meant_to_find(harness: Harness) -> None:
    found = {
        "SELECT id FROM jobs WHERE id = ?": False,
        "SELECT id FROM jobs WHERE guild_id = ? ORDER BY created_at DESC LIMIT 10": False,
        "SELECT id FROM jobs WHERE guild_id = ?": True,
        "SELECT count(*) FROM jobs WHERE member_key = ?": True,
        "SELECT id FROM jobs WHERE guild_id = ? ORDER BY boost LIMIT 10": True,
        "SELECT id FROM images WHERE error = ? LIMIT 10": True,
    }
    with closing(sqlite3.connect(harness.bot.data_dir / "atelier.db")) as connection:
        assert {query: bool(grows(connection, (query, (1,)))) for query in found} == found
