"""The rules of modals: what a bot may ask in one, and what a user may answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from raw_bot import Pending, RawBot, pending, raw_bot

from discord_sandbox import ActionRefusedError, Sandbox, ScriptedUser, Upload

OPTIONS = [{"label": str(n), "value": str(n)} for n in range(11)]


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server


@pytest.fixture
async def bot(server: Sandbox) -> AsyncIterator[RawBot]:
    async with raw_bot(server) as bot:
        yield bot


@pytest.fixture
async def actor(server: Sandbox, bot: RawBot) -> ScriptedUser:
    guild = server.add_guild("Guild")
    await bot.call("PUT", f"/applications/{server.application.id}/commands", [{"name": "ask", "description": "x"}])
    await bot.connect()
    await bot.identify()
    return server.act_as(guild.add_member("ada"), guild.add_channel("general"))


def label(component: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": 18, "label": "Question", "component": {"custom_id": "it"} | component} | more


def text(**more: Any) -> dict[str, Any]:
    return {"type": 4, "style": 1} | more


BAD = {
    "nothing in it": [],
    "six lines": [label(text(custom_id=str(n))) for n in range(6)],
    "one custom_id twice": [label(text()), label(text())],
    "a label of 46": [label(text(), label="x" * 46)],
    "a description of 101": [label(text(), description="x" * 101)],
    "a button": [label({"type": 2, "style": 1})],
    "a text of an unknown style": [label(text(style=3))],
    "a text that may hold 4001": [label(text(max_length=4001))],
    "a value longer than allowed": [label(text(max_length=2, value="xxx"))],
    "a select without options": [label({"type": 3})],
    "a select of 26": [label({"type": 5, "max_values": 26})],
    "a select with more to choose than there is": [label({"type": 3, "options": OPTIONS[:2], "max_values": 3})],
    "a placeholder of 151": [label({"type": 6, "placeholder": "x" * 151})],
    "eleven files": [label({"type": 19, "max_values": 11})],
    "more files at least than at most": [label({"type": 19, "min_values": 3, "max_values": 2})],
    "one radio button": [label({"type": 21, "options": OPTIONS[:1]})],
    "eleven radio buttons": [label({"type": 21, "options": OPTIONS})],
    "eleven boxes": [label({"type": 22, "options": OPTIONS})],
    "boxes of which eleven may be ticked": [label({"type": 22, "options": OPTIONS[:3], "max_values": 11})],
}
GOOD = {
    "five lines": [label(text(custom_id=str(n))) for n in range(5)],
    "a label of 45": [label(text(), label="x" * 45, description="x" * 100)],
    "a value as long as allowed": [label(text(max_length=2, value="xx"))],
    "selects": [label({"type": 3, "options": OPTIONS[:2], "max_values": 2}), label({"type": 5, "custom_id": "b"})],
    "ten files": [label({"type": 19, "min_values": 10, "max_values": 10})],
    "two radio buttons and ten boxes": [
        label({"type": 21, "options": OPTIONS[:2]}),
        label({"type": 22, "custom_id": "b", "options": OPTIONS[:10], "max_values": 10}),
    ],
}


async def opened(bot: RawBot, actor: ScriptedUser, components: list[dict[str, Any]]) -> tuple[Pending, int, Any]:
    waiting = await pending(bot, actor, "ask")
    return waiting, *await waiting.respond(9, {"custom_id": "form", "title": "Form", "components": components})


@pytest.mark.parametrize("name", BAD)
async def test_bad_modals_are_refused_and_recorded(
    server: Sandbox, bot: RawBot, actor: ScriptedUser, name: str
) -> None:
    waiting, status, answer = await opened(bot, actor, BAD[name])
    assert (status, answer["code"]) == (400, 50035)
    assert [v for v in server.violations if v.source == "rules"]
    await waiting.respond(4, {"content": "sorry"})
    assert (await waiting.act).modal is None


@pytest.mark.parametrize("name", GOOD)
async def test_modals_at_the_limits_pass(server: Sandbox, bot: RawBot, actor: ScriptedUser, name: str) -> None:
    """The control of the test above."""
    waiting, status, _ = await opened(bot, actor, GOOD[name])
    assert status == 200 and not server.violations and (await waiting.act).modal


@pytest.mark.parametrize(
    ("component", "values", "why"),
    [
        (text(), "", "Question is required"),
        (text(min_length=3), "ab", "at least 3"),
        (text(max_length=3), "abcd", "at most 3"),
        ({"type": 19}, None, "Question is required"),
        ({"type": 19, "min_values": 2, "max_values": 3}, [Upload("a", b"x")], "Choose more values for Question"),
        ({"type": 19, "max_values": 2}, [Upload("a", b"x")] * 3, "Choose fewer values for Question"),
        (
            {"type": 22, "options": OPTIONS[:4], "min_values": 2, "max_values": 3},
            ["1"],
            "Choose more values for Question",
        ),
        ({"type": 22, "options": OPTIONS[:4], "max_values": 2}, ["1", "2", "3"], "Choose fewer values for Question"),
    ],
)
async def test_the_client_stops_what_does_not_answer(
    bot: RawBot, actor: ScriptedUser, component: dict[str, Any], values: Any, why: str
) -> None:
    waiting, *_ = await opened(bot, actor, [label(component)])
    with pytest.raises(ActionRefusedError, match=why):
        await actor.submit_modal(await waiting.act, {} if values is None else {"it": values})


async def test_an_omitted_field_keeps_its_default(server: Sandbox, bot: RawBot, actor: ScriptedUser) -> None:
    assert actor.channel.guild is not None
    role = actor.channel.guild.add_role("Painter")
    there, gone = ({"id": str(number), "type": "role"} for number in (role.id, 1))
    asked = [
        label({"type": 6, "default_values": [there, gone], "max_values": 2}),
        label({"type": 3, "custom_id": "b", "options": [OPTIONS[0], OPTIONS[1] | {"default": True}]}),
    ]
    waiting, *_ = await opened(bot, actor, asked)
    sending = asyncio.create_task(actor.submit_modal(await waiting.act, {}))
    sent = Pending(bot, await bot.event("INTERACTION_CREATE"), sending)
    values = [line["component"]["values"] for line in sent.event["data"]["components"]]
    assert values == [[str(role.id)], ["1"]] and list(sent.event["data"]["resolved"]["roles"]) == [str(role.id)]
    await sent.respond(4, {"content": "thanks"})
    await sending
