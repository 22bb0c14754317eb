"""The table “Who may do what” of docs/safety.md, driven over the wire by those to whom a channel lies.

A right in one channel is none in the server; a right in the server holds where a channel denies it; and what acts on a
message asks in that message's channel. The page is held equal to what the bot registered, so no row can be forgotten.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import discord
import pytest
import pytest_asyncio

from cogs.common.errors import NotAManagerError, NotAModeratorError, RolesUnknownError
from cogs.common.messages import Action
from cogs.error_handler import UNEXPECTED
from cogs.moderation._decisions import DECISIONS as VERBS
from cogs.moderation._messages import NOTHING_TO_REVIEW
from cogs.registered import load_offline_bot as registered_offline
from discord_sandbox import Channel, Interaction, Message, Permission, Sandbox, ScriptedUser
from discord_sandbox.permissions import ALL
from generation.errors import UnknownJobError
from generation.jobs.errors import NotYourPicturesError
from tests.messages import is_said
from tests.scenarios.bot_harness import LivingBot, People, job_id_in, judged, until_done
from tests.scenarios.every_command import answer_to, filled, registered, rows
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")
PAGE = (Path(__file__).resolve().parents[2] / "docs/safety.md").read_text(encoding="utf-8")
RED = "a red circle on a blue background"
BOTH = Permission.MANAGE_GUILD | Permission.MANAGE_MESSAGES
NOT_A_MANAGER, NOT_A_MODERATOR = REFUSALS = (str(NotAManagerError()), str(NotAModeratorError()))
NOT_YOURS = str(NotYourPicturesError())
WORDS = re.compile(r"`([^`]+)`")


def table() -> dict[str, list[str]]:
    """What each row of the page names, by what it asks for."""
    part = PAGE.split("## Who may do what")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in part.splitlines() if line.startswith("| ")]
    return {needed.strip(): WORDS.findall(what) for needed, _acts_on, what in lines[1:]}


def named(beginning: str) -> list[str]:
    [found] = [what for needed, what in table().items() if needed.startswith(beginning)]
    return found


FOR_MANAGERS = [name.strip("/") for name in named("*Manage Server*") if name.startswith("/")]
FOR_MODERATORS = [name.strip("/") for name in named("*Manage Messages*") if name.startswith("/")]


@dataclass
class Harness:
    discord: Sandbox
    people: People
    bot: LivingBot
    corner: Channel
    """Where everything is granted to one member, and both rights are denied to everybody else."""

    def come(self, name: str, permissions: int = 0, *, where: Channel | None = None) -> ScriptedUser:
        member = self.people.guild.add_member(name, permissions=int(permissions))
        return self.discord.act_as(member, where or self.corner)

    def owner(self) -> ScriptedUser:
        guild = self.people.guild
        member = guild.members.get(guild.owner_id) or guild.add_member(self.discord.world.users[guild.owner_id])
        return self.discord.act_as(member, self.corner)

    async def painted(self, who: ScriptedUser) -> Message:
        return await until_done(self.discord, await who.slash("imagine", prompt=RED, seed=7, steps=1))

    async def has_files(self, message: Message) -> bool:
        job = await self.bot.jobs.fetch_job(job_id_in(message))
        return job.images[0].file_sha256 is not None


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def harness(
    tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path
) -> AsyncIterator[Harness]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        corner = people.guild.add_channel("corner")
        corner.set_overwrite(people.guild.everyone, deny=int(BOTH))
        bot = LivingBot(discord, tmp_path_factory.mktemp("rights"), blank_database)
        await bot.start()
        yield Harness(discord, people, bot, corner)
        await bot.stop()


def of_the_channel(harness: Harness) -> ScriptedUser:
    """Granted by an overwrite: everything, also what Discord itself would not take there."""
    who = harness.come("cy")
    harness.corner.set_overwrite(who.member, allow=ALL & ~int(Permission.ADMINISTRATOR))
    assert who.permissions & BOTH == BOTH
    return who


def timed_out(harness: Harness) -> ScriptedUser:
    who = harness.come("tim", int(BOTH), where=harness.people.general)
    who.member.timed_out_until = "2999-01-01T00:00:00+00:00"
    return who


def of_a_lost_role(harness: Harness) -> ScriptedUser:
    """The role was deleted; what Discord sent with the press is older than that."""
    role = harness.people.guild.add_role("stewards", int(BOTH))
    who = harness.discord.act_as(harness.people.guild.add_member("lou", roles=[role]), harness.people.general)
    harness.people.guild.remove_role(role)
    who.member.roles.append(role)
    assert who.permissions & BOTH == BOTH
    return who


def of_a_weakened_role(harness: Harness) -> ScriptedUser:
    role = harness.people.guild.add_role("wardens", int(BOTH))
    member = harness.people.guild.add_member("wes", roles=[role])
    harness.corner.set_overwrite(member, allow=int(BOTH))
    harness.people.guild.set_permissions(role, 0)
    return harness.discord.act_as(member, harness.corner)


def denied_here(harness: Harness) -> ScriptedUser:
    who = harness.come("di", int(BOTH))
    assert not who.permissions & BOTH
    return who


def administrator(harness: Harness) -> ScriptedUser:
    return harness.come("adam", int(Permission.ADMINISTRATOR))


def of_everyones_role(harness: Harness) -> ScriptedUser:
    return harness.come("eve")


def owner(harness: Harness) -> ScriptedUser:
    who = harness.owner()
    assert who.member.roles == []
    return who


MAY_NOT = [of_the_channel, timed_out, of_a_lost_role, of_a_weakened_role]
MAY = [denied_here, administrator, owner]


def commands_of(harness: Harness, names: list[str]) -> list[tuple[str, dict[str, Any]]]:
    known = dict(registered(harness.discord.commands))
    plain = [(name, filled(known[name], harness.people)) for name in names if name in known]
    more: list[tuple[str, dict[str, Any]]] = [("usage", {"whose": "server"}), ("settings", {"file": b"{}"})]
    return [*plain, *(more if "settings" in names else [])]


OFFLINE = registered_offline()


async def test_the_page_names_everything_that_can_be_typed_pressed_or_sent(harness: Harness) -> None:
    every = [name for names in table().values() for name in names]
    typed = {name.strip("/") for name in every if name.startswith("/")}
    assert typed == {name for name, _ in registered(harness.discord.commands)} | {"usage whose:server"}
    pressed = sorted(name for name in every if not name.startswith("/"))
    assert pressed == sorted(
        [
            *{*OFFLINE.button_handlers, *OFFLINE.form_handlers, Action.PAGE},
            *VERBS,
            *(menu.name for menu in OFFLINE.context_menus),
        ]
    )
    assert len(typed) + len(pressed) == len(every), "nothing is in two rows"
    assert sorted(named("to be named")) == sorted(
        f"/{name}" for name, _ in registered(harness.discord.commands) if "operator" in name
    )


@pytest.mark.parametrize("who", MAY_NOT, ids=lambda who: who.__name__)
async def test_the_server_is_not_moved_by_what_a_channel_grants(harness: Harness, who: Any) -> None:
    actor = who(harness)
    before = rows(harness.bot.data_dir)
    wrong = []
    for refusal, names in ((NOT_A_MANAGER, FOR_MANAGERS), (NOT_A_MODERATOR, FOR_MODERATORS)):
        for name, options in commands_of(harness, names):
            said = await answer_to(harness.discord, await actor.forging.slash(name, **options))
            wrong += [] if said == refusal else [f"/{name}: {said}"]
    assert not wrong, "\n".join(wrong)
    assert rows(harness.bot.data_dir) == before, "a refused command changes nothing"


@pytest.mark.parametrize("who", MAY, ids=lambda who: who.__name__)
async def test_the_server_is_moved_by_those_who_may_from_a_channel_that_denies_it(harness: Harness, who: Any) -> None:
    actor = who(harness)
    wrong = []
    for name, options in commands_of(harness, [*FOR_MANAGERS, *FOR_MODERATORS]):
        said = await answer_to(harness.discord, await actor.forging.slash(name, **options))
        wrong += [f"/{name}: {said}"] if said in REFUSALS or is_said(UNEXPECTED, said) else []
    assert not wrong, "\n".join(wrong)


async def test_the_role_of_everyone_counts_and_a_change_of_it_holds_at_once(harness: Harness) -> None:
    eve, guild = of_everyones_role(harness), harness.people.guild
    assert await answer_to(harness.discord, await eve.forging.slash("rules list")) == NOT_A_MANAGER
    usual = guild.everyone.permissions
    guild.set_permissions(guild.everyone, usual | int(Permission.MANAGE_GUILD))
    assert await answer_to(harness.discord, await eve.forging.slash("rules list")) not in REFUSALS
    guild.set_permissions(guild.everyone, usual)
    assert await answer_to(harness.discord, await eve.forging.slash("rules list")) == NOT_A_MANAGER


async def test_where_the_roles_are_not_known_yet_nothing_is_guessed(harness: Harness) -> None:
    boss = owner(harness)
    known = harness.bot.client.get_guild(harness.people.guild.id)
    assert known is not None
    everyone = known._roles.pop(known.id)
    said = await answer_to(harness.discord, await boss.forging.slash("rules list"))
    known._roles[known.id] = everyone
    assert said == str(RolesUnknownError())


async def test_each_menu_and_button_of_the_panel_asks_again(harness: Harness) -> None:
    boss, cy = owner(harness), of_the_channel(harness)
    before = rows(harness.bot.data_dir)["guild_settings"]
    for page in ("what", "who", "safety", "styles"):
        panel = (await boss.slash("settings")).original_message
        assert panel is not None
        await boss.click(panel, f"atelier-set:{page}:open")
        shown = [each["custom_id"] for each in panel.list_components() if "custom_id" in each]
        assert len(shown) > 5
        for custom_id in shown:
            said = await answer_to(harness.discord, await touch(harness, cy.forging, panel, custom_id))
            assert said == NOT_A_MANAGER, custom_id
    assert rows(harness.bot.data_dir)["guild_settings"] == before
    opened = await boss.click(panel, "atelier-set:styles:style_add")
    sent = await cy.forging.submit_modal(opened, {"name": "ink", "prompt": "in ink"})
    assert await answer_to(harness.discord, sent) == NOT_A_MANAGER
    assert rows(harness.bot.data_dir)["styles"] == []


async def touch(harness: Harness, who: ScriptedUser, message: Message, custom_id: str) -> Interaction:
    """Press the button, or choose something in the menu."""
    component = message.component(custom_id)
    if component["type"] == 2:
        return await who.click(message, custom_id)
    chosen: dict[int, Callable[[], Any]] = {
        3: lambda: component["options"][0]["value"],
        6: lambda: harness.people.guild.everyone,
        8: lambda: harness.corner,
    }
    return await who.select(message, custom_id, [chosen[component["type"]]()])


async def test_each_button_of_the_review_asks_again(harness: Harness) -> None:
    boss, cy, ada = owner(harness), of_the_channel(harness), harness.people.ada
    shown = await harness.painted(ada)
    await answer_to(harness.discord, await harness.people.bo.context_menu("Report picture", shown))
    asked = await boss.slash("review")
    await answer_to(harness.discord, asked)
    queue = asked.original_message
    assert queue is not None
    verbs = [button["custom_id"] for button in queue.buttons]
    assert [each.split(":")[1] for each in verbs] == list(VERBS)
    before = rows(harness.bot.data_dir)
    for custom_id in verbs:
        said = await answer_to(harness.discord, await cy.forging.click(queue, custom_id))
        assert said == NOT_A_MODERATOR
    assert rows(harness.bot.data_dir) == before
    await boss.click(queue, verbs[0])
    await harness.discord.wait_for(lambda: is_said(NOTHING_TO_REVIEW, queue.text))


async def test_help_names_what_one_may_do_in_the_server(harness: Harness) -> None:
    for who, sees in ((of_the_channel(harness), False), (denied_here(harness), True)):
        text = await answer_to(harness.discord, await who.slash("help"))
        assert ("</settings" in text, "</purge" in text) == (sees, sees)


# What acts on a message.


@pytest.mark.parametrize("pressed_in", ["there", "elsewhere"])
async def test_delete_asks_in_the_channel_of_the_picture(harness: Harness, pressed_in: str) -> None:
    """Whoever presses `elsewhere` has forged the press: the message stands in #general all the same."""
    general, guild = harness.people.general, harness.people.guild
    here, denied = guild.add_member("helen", permissions=0), guild.add_member("dan", permissions=int(BOTH))
    general.set_overwrite(here, allow=int(Permission.MANAGE_MESSAGES))
    general.set_overwrite(denied, deny=int(Permission.MANAGE_MESSAGES))
    where = general if pressed_in == "there" else guild.add_channel("another")
    cy = of_the_channel(harness)
    refused = [cy, harness.discord.act_as(denied, where), harness.people.bo]
    for who in refused:
        message = await harness.painted(harness.people.ada)
        pressed = await who.forging.click(message, f"atelier:delete:{job_id_in(message)}")
        assert await answer_to(harness.discord, pressed) == NOT_YOURS, who
        assert await harness.has_files(message)
    mo = harness.people.mo
    for member in (here, mo.member, administrator(harness).member, owner(harness).member):
        message = await harness.painted(harness.people.ada)
        await harness.discord.act_as(member, where).forging.click(message, f"atelier:delete:{job_id_in(message)}")
        await harness.discord.wait_for(lambda message=message: message.is_deleted)
        assert not await harness.has_files(message)


async def test_cancel_asks_in_the_channel_of_the_picture(harness: Harness) -> None:
    cy, ada = of_the_channel(harness), harness.people.ada
    asked = await ada.slash("imagine", prompt="endless-image")
    message: Any = await harness.discord.wait_for(lambda: (m := asked.original_message) and m.buttons and m)
    custom_id = f"atelier:cancel:{job_id_in(message)}"
    assert await answer_to(harness.discord, await cy.forging.click(message, custom_id)) == NOT_YOURS
    assert harness.bot.generation.is_live(job_id_in(message))
    await harness.people.mo.click(message, custom_id)
    await until_done(harness.discord, asked)
    assert not message.attachments


async def test_a_thread_has_the_rights_of_its_channel(harness: Harness) -> None:
    cy = of_the_channel(harness)
    thread = harness.corner.add_thread("sketches")
    message = await harness.painted(harness.discord.act_as(harness.people.ada.member, thread))
    denied = harness.discord.act_as(denied_here(harness).member, thread)
    custom_id = f"atelier:delete:{job_id_in(message)}"
    assert await answer_to(harness.discord, await denied.click(message, custom_id)) == NOT_YOURS
    elsewhere = harness.discord.act_as(cy.member, harness.people.general)
    await elsewhere.forging.click(message, custom_id)  # known by the overwrite of what the thread lies in
    await harness.discord.wait_for(lambda: message.is_deleted)
    other = await harness.painted(harness.discord.act_as(harness.people.ada.member, thread))
    await harness.discord.act_as(cy.member, thread).click(other, f"atelier:delete:{job_id_in(other)}")
    await harness.discord.wait_for(lambda: other.is_deleted)


async def test_a_favourite_opened_in_ones_own_channel_is_not_deleted_there(harness: Harness) -> None:
    cy = of_the_channel(harness)
    message = await harness.painted(harness.people.ada)
    general = harness.discord.act_as(cy.member, harness.people.general)
    await answer_to(harness.discord, await general.click(message, "Favourite"))
    asked = await cy.slash("history", show="favourites")
    await answer_to(harness.discord, asked)
    opened = await cy.click(asked.original_message, f"atelier:open:{job_id_in(message)}")
    await answer_to(harness.discord, opened)
    pressed = await cy.click(opened.original_message, "Delete")
    assert await answer_to(harness.discord, pressed) == NOT_YOURS
    assert not message.is_deleted
    assert await harness.has_files(message)


async def test_where_the_channel_is_gone_the_right_in_the_server_counts(harness: Harness) -> None:
    cy, gone = of_the_channel(harness), harness.people.guild.add_channel("to be deleted")
    gone.set_overwrite(cy.member, allow=int(Permission.MANAGE_MESSAGES))
    message = await harness.painted(harness.discord.act_as(harness.people.ada.member, gone))
    gone.delete()
    custom_id = f"atelier:delete:{job_id_in(message)}"
    message.channel = harness.corner  # a button for it that is still shown elsewhere
    assert await answer_to(harness.discord, await cy.forging.click(message, custom_id)) == NOT_YOURS
    assert await harness.has_files(message)
    pressed = await denied_here(harness).forging.click(message, custom_id)
    await harness.discord.wait_for(lambda: pressed.acknowledged)
    await harness.discord.wait_for(lambda: message.is_deleted)
    assert not await harness.has_files(message)


async def test_a_link_into_a_private_thread_leads_nowhere_from_outside(harness: Harness) -> None:
    thread = harness.people.general.add_thread("between us")
    message = await harness.painted(harness.discord.act_as(harness.people.ada.member, thread))
    known: Any = harness.bot.client.get_channel(thread.id)
    known._type = discord.ChannelType.private_thread
    link = f"https://discord.com/channels/{harness.people.guild.id}/{thread.id}/{message.id}"
    bo, manager = harness.people.bo, harness.come("mia", int(Permission.MANAGE_THREADS), where=harness.people.general)
    inside = harness.discord.act_as(bo.member, thread)
    for who, sees in ((bo, False), (inside, True), (manager, True)):
        said = await answer_to(harness.discord, await who.slash("recipe", picture=link))
        assert (is_said(UnknownJobError, said), "Seed: 7" in said) == (not sees, sees)
