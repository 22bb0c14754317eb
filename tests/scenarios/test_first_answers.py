"""First answers whose outcome is unknown, interactions that are delivered twice, and those that can have no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from sqlalchemy import text

from cogs.error_handler import UNEXPECTED
from discord_sandbox import Interaction, Message, Permission, Sandbox, Upload
from tests.messages import is_said
from tests.patience import until
from tests.scenarios.bot_harness import LivingBot, People, button_of, until_done, until_shown

RED = "a red circle on a blue background"
CALLBACK = "/interactions/*"
Lay = Callable[[Sandbox], Any]

FAULTS: dict[str, Lay] = {
    "500, performed": lambda discord: discord.faults.fail(CALLBACK, status=500, performed=True),
    "502, performed, twice": lambda discord: discord.faults.fail(CALLBACK, status=502, performed=True, times=2),
    "503, not performed": lambda discord: discord.faults.fail(CALLBACK, status=503),
    "no answer, performed": lambda discord: discord.faults.drop_answer(CALLBACK),
    "no answer, not performed": lambda discord: discord.faults.drop_answer(CALLBACK, performed=False),
    "a page instead of an answer": lambda discord: discord.faults.fail(
        CALLBACK, status=200, performed=True, page="<html>"
    ),
    "a reply without its parts": lambda discord: discord.faults.fail(
        CALLBACK, status=200, performed=True, page='{"interaction": {}, "resource": null}'
    ),
    "429": lambda discord: discord.faults.rate_limit(CALLBACK, retry_after_s=0.1),
    "no answer, then a refusal on the way": lambda discord: (
        discord.faults.drop_answer(CALLBACK),
        discord.faults.fail(CALLBACK, status=403, page="<html>"),
    ),
    "no answer to any callback": lambda discord: discord.faults.drop_answer(CALLBACK, times=10_000),
    "errors for all callbacks": lambda discord: discord.faults.fail(CALLBACK, times=10_000, performed=True),
}
faults = pytest.mark.parametrize("lay", FAULTS.values(), ids=FAULTS.keys())
SHORT = {"503, not performed", "no answer, performed", "no answer to any callback"}
some_faults = pytest.mark.parametrize(
    "lay", [pytest.param(lay, id=name, marks=() if name in SHORT else pytest.mark.long) for name, lay in FAULTS.items()]
)
"""Every fault is shown by a command and a button; of forms and panels, three are."""


async def all_handled() -> None:
    """Wait until the bot is through with every interaction."""
    names = ("CommandTree-invoker", "discord-ui", "discord.py: on_interaction")
    handling = [task for task in asyncio.all_tasks() if task.get_name().startswith(names)]
    if handling:
        _, going = await asyncio.wait(handling, timeout=90)
        assert not going


@pytest.fixture(autouse=True)
async def handled(discord: Sandbox, bot: LivingBot) -> AsyncIterator[None]:
    """When a test ends, calls go through again, and what is still asked for the last time comes to its end."""
    yield
    discord.faults.clear()
    await all_handled()


async def num_jobs(bot: LivingBot) -> int:
    return int(await bot.database.read(lambda session: session.execute(text("SELECT count(*) FROM jobs")).scalar_one()))


async def painted(discord: Sandbox, people: People) -> Message:
    return await until_done(discord, await people.ada.slash("imagine", prompt=RED, steps=1))


@faults
async def test_a_command_and_a_button_whose_answer_stands_become_jobs(
    discord: Sandbox, people: People, bot: LivingBot, lay: Lay
) -> None:
    first = await painted(discord, people)
    lay(discord)
    asked = await people.ada.slash("imagine", prompt=RED, steps=1)
    assert len((await until_done(discord, asked)).attachments) == 1
    discord.faults.clear()
    lay(discord)
    pressed = await people.ada.click(first, button_of(first, "reroll"))
    assert len((await until_done(discord, pressed)).attachments) == 1
    assert await num_jobs(bot) == 3
    assert (await bot.deliveries.fetch((await bot.job_of(asked)).id)).reply_to.message_id == asked.original_message.id


@some_faults
async def test_a_form_is_opened_and_taken(discord: Sandbox, people: People, bot: LivingBot, lay: Lay) -> None:
    first = await painted(discord, people)
    lay(discord)
    opened = await people.ada.click(first, button_of(first, "remix"))
    assert opened.modal is not None
    discord.faults.clear()
    lay(discord)
    sent = await people.ada.submit_modal(opened, {"prompt": "a blue square"})
    assert len((await until_done(discord, sent)).attachments) == 1
    assert await num_jobs(bot) == 2


@some_faults
async def test_private_answers_and_panels_are_shown(discord: Sandbox, people: People, bot: LivingBot, lay: Lay) -> None:
    member = people.guild.add_member("gil", permissions=int(Permission.MANAGE_GUILD))
    gil = discord.act_as(member, people.general)
    await until_shown(discord, await gil.slash("rules add", text="teapot"))
    for command in ("about", "history", "rules export", "settings"):
        lay(discord)
        asked = await gil.slash(command)
        said = await until_shown(discord, asked)
        assert said.is_ephemeral and said.text and not is_said(UNEXPECTED, said.text)
        assert all(b"teapot" in file.data for file in said.attachments)
        assert bool(said.attachments) == (command == "rules export"), "a file is sent whole, also the second time"
        discord.faults.clear()
    lay(discord)
    turned = await gil.click(said, next(each["custom_id"] for each in said.buttons))
    assert turned.acknowledged is not None
    discord.faults.clear()
    assert (await gil.slash("about")).ephemeral


async def test_an_interaction_delivered_again_is_passed_over(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    first = await painted(discord, people)
    acts = [await people.ada.slash("imagine", prompt=RED, steps=1)]
    acts.append(await people.ada.click(first, button_of(first, "reroll")))
    opened = await people.ada.click(first, button_of(first, "remix"))
    acts.append(await people.ada.submit_modal(opened, {"prompt": RED}))
    for act in (*acts, opened, *acts):
        discord.faults.send_again(act)
    for act in acts:
        await until_done(discord, act)
    assert (await people.ada.slash("about")).ephemeral
    assert await num_jobs(bot) == 1 + len(acts)
    assert "action=failed" not in caplog.text and not [act for act in acts if act.followups]


async def test_delivered_twice_and_answered_by_nobody_it_is_still_one_job(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    """Both deliveries would hear 40060 after a try of their own that was lost, and both go on."""
    discord.faults.drop_answer(CALLBACK, times=2)
    asking = asyncio.create_task(people.ada.slash("imagine", prompt=RED, steps=1))
    events = len(discord.journal.events)
    await discord.wait_for(lambda: any(e.name == "INTERACTION_CREATE" for e in discord.journal.events[events:]))
    discord.faults.send_again(_told(discord))
    assert len((await until_done(discord, await asking)).attachments) == 1
    await all_handled()
    assert await num_jobs(bot) == 1


def _told(discord: Sandbox) -> Interaction:
    """The interaction that the bot was told of last."""
    event = next(each for each in reversed(discord.journal.events) if each.name == "INTERACTION_CREATE")
    return discord._interactions._by_id[int(event.data["id"])]


async def test_what_another_process_has_answered_is_left_to_it(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    """Two programs with one token: 40060 without a try of ours whose outcome is unknown."""
    ours = discord.faults.delay(CALLBACK, wait_s=2)
    asking = asyncio.create_task(people.ada.slash("imagine", prompt=RED, steps=1))
    await until(lambda: ours.num_met)
    told = _told(discord)
    url = f"{discord.api_base}/interactions/{told.id}/{told.token}/callback?with_response=1"
    async with aiohttp.ClientSession() as session, session.post(url, json={"type": 5}) as answer:
        assert answer.status == 200, await answer.text()
    await asking
    await all_handled()
    assert "action=not-acknowledged reason=40060" in caplog.text
    assert await num_jobs(bot) == 0


@pytest.mark.parametrize("lay", [FAULTS["no answer, not performed"], FAULTS["503, not performed"]])
async def test_what_nobody_can_see_is_not_painted(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture, lay: Lay
) -> None:
    """Discord had no answer within its 3 s: the person sees a failure, so nothing is painted, and no more is said."""
    laid = [lay(discord) for _ in range(100)]
    asking = asyncio.create_task(people.ada.slash("imagine", prompt=RED, steps=1))
    await until(lambda: laid[0].num_met)
    await all_handled()
    discord.end_deadlines()
    asked = await asking
    assert asked.failed and not asked.messages
    assert "action=not-acknowledged" in caplog.text and "incident" not in caplog.text
    assert await num_jobs(bot) == 0


async def test_an_answer_that_comes_too_late_is_the_end_of_it(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    late = discord.faults.delay(CALLBACK, wait_s=0.5)
    asking = asyncio.create_task(people.ada.slash("imagine", prompt=RED, steps=1))
    await until(lambda: late.num_met)
    discord.end_deadlines()
    asked = await asking
    await all_handled()
    assert asked.failed and "action=not-acknowledged reason=10062" in caplog.text
    assert await num_jobs(bot) == 0
    assert len([call for call in discord.journal.calls if call.path.startswith("/interactions")]) == 1


@pytest.mark.parametrize("method", ["DELETE", "POST"])
@pytest.mark.parametrize("performed", [False, True])
async def test_a_refusal_is_told_although_its_calls_are_lost(
    discord: Sandbox, people: People, bot: LivingBot, method: str, performed: bool
) -> None:
    """It is refused after the answer: “thinking…” goes, and the reason comes."""
    discord.faults.drop_answer("/webhooks/*", method=method, performed=performed)
    asked = await people.ada.slash("imagine", prompt=RED, image=Upload("x.png", b"no picture"))
    await discord.wait_for(lambda: asked.followups, timeout_s=60)
    assert asked.followups[-1].is_ephemeral
    assert asked.original_message is None or asked.original_message.is_deleted
    assert await num_jobs(bot) == 0
