"""What a press, choice or form names is looked at again each time: it may name what is another's, or lies elsewhere.

Every forged one is refused in private, and changes no message and no row.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image

from cogs.common.errors import NotOfferedError
from cogs.common.messages import Action
from cogs.error_handler import STRAY_BUTTON, UNEXPECTED
from cogs.settings._field_kinds import Of
from cogs.settings._fields import FIELDS, PAGES
from cogs.settings._styles import TITLE
from cogs.settings._views import PANEL_TITLE
from db.stores.audit_log import Entry
from discord_sandbox import Interaction, Message, Permission, Sandbox, ScriptedUser, Upload
from discord_sandbox.interactions import COMPONENT, MODAL_SUBMIT
from generation.errors import UnknownJobError
from generation.requests.style import Style
from generation.rules.rule import Rule
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, judged, until_done
from tests.scenarios.every_command import answer_to, rows
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
RED = "a red circle on a blue background"
UNKNOWN = str(UnknownJobError())
SELECTS = {Of.OPTIONS: 3, Of.ROLES: 6, Of.CHANNELS: 8}
HIDDEN = ("default_upscaler", "share_tags")
"""Menus without a choice here: no upscaler is installed, and no forum is chosen."""
MANAGING = int(Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES)


@dataclass
class Harness:
    """Two servers; `mallory` may do everything in the second, and is a member of the first."""

    discord: Sandbox
    people: People
    bot: LivingBot
    mallory: ScriptedUser
    boss: ScriptedUser

    async def painted(self, who: ScriptedUser) -> Message:
        return await until_done(self.discord, await who.slash("imagine", prompt=RED, seed=7, steps=1))

    def state(self, *messages: Message) -> list[object]:
        moving = ("deliveries", "queue_counters")  # written a moment after a result is seen
        kept = {name: found for name, found in rows(self.bot.data_dir).items() if name not in moving}
        return [kept, *((message.revisions, message.is_deleted, message.text) for message in messages)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        lair = discord.add_guild("Lair")
        den = lair.add_channel("den")
        mallory = discord.act_as(lair.add_member("mallory", permissions=int(Permission.ADMINISTRATOR)), den)
        boss = discord.act_as(people.guild.add_member("boss", permissions=MANAGING), people.general)
        bot = LivingBot(discord, tmp_path_factory.mktemp("forged"), blank_database)
        await bot.start()
        yield Harness(discord, people, bot, mallory, boss)
        await bot.stop()


async def choose(who: ScriptedUser, message: Message, custom_id: str, values: list[str], kind: int = 3) -> Interaction:
    """Send a choice as it is, whatever the menu offers."""
    data = {"component_type": kind, "custom_id": custom_id, "id": 1, "values": values}
    return await who._send(COMPONENT, data, source_message=message)


async def send_form(who: ScriptedUser, custom_id: str, texts: dict[str, str], opened_by: Interaction) -> Interaction:
    """Send as another form the one that was opened."""
    assert opened_by.modal is not None
    components = [
        {"type": 18, "id": number, "component": {"type": 4, "id": 50 + number, "custom_id": key, "value": value}}
        for number, (key, value) in enumerate(texts.items(), 1)
    ]
    data = {"custom_id": custom_id, "components": components}
    return await who._send(MODAL_SUBMIT, data, source_message=opened_by.source_message, opened_by=opened_by)


@pytest.mark.parametrize("action", list(Action))
async def test_a_menu_presses_nothing_that_it_does_not_offer(harness: Harness, action: Action) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    mine, theirs = await harness.painted(ada), await harness.painted(bo)
    menu = f"atelier-menu:{job_id_in(theirs)}"
    before = harness.state(mine, theirs)
    for subject in (job_id_in(mine), f"{job_id_in(mine)}:0", "", ":", "1:f:"):
        pressed = await choose(ada, theirs, menu, [f"atelier:{action}:{subject}"])
        assert await answer_to(harness.discord, pressed) == UNKNOWN, subject
    assert harness.state(mine, theirs) == before


@pytest.mark.parametrize("values", [[], [""], ["atelier"], ["atelier-mod:delete:x"], ["x" * 100]])
async def test_a_choice_of_nothing_is_refused(harness: Harness, values: list[str]) -> None:
    theirs = await harness.painted(harness.people.bo)
    before = harness.state(theirs)
    pressed = await choose(harness.people.ada, theirs, f"atelier-menu:{job_id_in(theirs)}", values)
    assert await answer_to(harness.discord, pressed) == UNKNOWN
    assert harness.state(theirs) == before


@pytest.mark.parametrize("key", list(FIELDS))
async def test_the_panel_takes_only_what_this_server_has(harness: Harness, key: str) -> None:
    field, lair = FIELDS[key], harness.mallory.channel.guild
    elsewhere = {Of.OPTIONS: "no such thing", Of.ROLES: lair.everyone.id, Of.CHANNELS: harness.mallory.channel.id}
    forged: list[list[Any]] = [[elsewhere[field.of]], ["x"], ["-1"], ["9" * 90], [" "]]
    forged += [[harness.people.general.id] * (field.most + 1)] + ([[]] if field.is_required else [])
    before = harness.state()
    for values in forged:
        panel = await page_with(harness, key)
        pressed = await choose(
            harness.boss, panel, custom_id_of(panel, key), [str(each) for each in values], kind_of(key)
        )
        said = await answer_to(harness.discord, pressed)
        assert is_said(STRAY_BUTTON if key in HIDDEN else NotOfferedError, said), (values, said)
    assert harness.state() == before


def kind_of(key: str) -> int:
    return SELECTS[FIELDS[key].of]


def custom_id_of(panel: Message, key: str) -> str:
    ids = [each["custom_id"] for each in panel.list_components() if "custom_id" in each]
    menu = re.compile(r"(?P<page>.+):\w+")
    shown = next((each for each in ids if each.endswith(f":{key}")), None)
    return shown or f"{menu.fullmatch(ids[-1])['page']}:{key}"


async def page_with(harness: Harness, key: str) -> Message:
    """The panel, at the page that has this menu; at another for one that is hidden while there is nothing to choose."""
    asked = await harness.boss.slash("settings")
    panel = asked.original_message
    assert panel is not None
    for page in PAGES:
        await harness.boss.click(panel, f"atelier-set:{page}:open")
        if any(each.get("custom_id", "").endswith(f":{key}") for each in panel.list_components()):
            return panel
    assert key in HIDDEN, f"no page has {key}"
    return panel


async def test_what_is_of_another_server_is_not_known_here(harness: Harness) -> None:
    """A rule by its number, a style by its name, a picture by its id: in commands, menus and forms."""
    guild_id, services = harness.people.guild.id, harness.bot.services
    await services.content_rules.add_rules(guild_id, [Rule(text="goblin")], by=harness.boss.user.id)
    await services.styles.save(
        Style(guild_id=guild_id, name="ink", prompt="in ink", negative=""), Entry(1, "for a test")
    )
    await services.styles.save(
        Style(guild_id=harness.mallory.channel.guild.id, name="oil", prompt="oil", negative=""), Entry(1, "for a test")
    )
    [rule] = await services.content_rules.fetch_rules(guild_id)
    theirs = await harness.painted(harness.people.ada)
    await answer_to(harness.discord, await harness.people.bo.context_menu("Report picture", theirs))
    mine = await harness.painted(harness.mallory)
    panel = (await harness.mallory.slash("settings")).original_message
    assert panel is not None
    await harness.mallory.click(panel, "atelier-set:styles:open")
    opened = await harness.mallory.click(mine, "Remix")
    before = harness.state(theirs, mine)
    forging, job_id = harness.mallory.forging, job_id_in(theirs)
    tried = [
        await forging.slash("rules remove", number=rule.id),
        await forging.slash("style remove", name="ink"),
        await forging.slash("recipe", picture=job_id),
        await forging.slash("cancel", picture=job_id),
        await forging.slash("imagine", prompt=RED, style="ink"),
        await choose(harness.mallory, panel, "atelier-set:styles:style_remove", ["ink"]),
        *[
            await send_form(harness.mallory, f"atelier:{action}:{subject}", {"prompt": "x", "strength": "0.5"}, opened)
            for action in (Action.REMIX, Action.REGION, Action.START, Action.UPSCALE)
            for subject in (job_id, f"{job_id}:0")
        ],
    ]
    for pressed in tried:
        said = await answer_to(harness.discord, pressed)
        assert not is_said(UNEXPECTED, said), said
    assert harness.state(theirs, mine) == before


async def test_a_style_form_forged_under_anothers_message_leaves_that_message(harness: Harness) -> None:
    theirs = await harness.painted(harness.people.ada)
    opened = await harness.boss.click(theirs, "Remix")
    before = theirs.revisions, theirs.text
    sent = await send_form(harness.boss, "atelier:style:", {"name": "forged", "prompt": "x"}, opened)
    assert is_said(PANEL_TITLE, await answer_to(harness.discord, sent), page=TITLE)
    assert (theirs.revisions, theirs.text) == before


async def test_a_start_form_is_of_whom_it_was_opened_for(harness: Harness) -> None:
    ada, bo = harness.people.ada, harness.people.bo
    opened, *others = [
        await who.context_menu("Use as start image", who.say("a photo", files=[picture()]))
        for who in (ada, bo, harness.mallory)
    ]
    assert opened.modal is not None
    before = harness.state()
    filled = {"prompt": RED, "strength": "0.05"}
    for who, own in zip((bo, harness.mallory), others, strict=True):
        sent = await send_form(who, opened.modal["custom_id"], filled, own)
        assert (await answer_to(harness.discord, sent)).startswith("That form was opened too long ago")
    assert harness.state() == before
    job = await harness.bot.ended(await ada.submit_modal(opened, filled))
    assert job.owner.user_id == ada.user.id


def picture() -> Upload:
    data = BytesIO()
    Image.new("RGB", (128, 128), "red").save(data, "PNG")
    return Upload("photo.png", data.getvalue())
