"""What must work however a bot reaches the sandbox: the sample bot, seen by a person. See `test_sandbox_three_ways`."""

from __future__ import annotations

from sample_bot import png

from discord_sandbox import Message, Sandbox, ScriptedUser, Upload


async def draws(server: Sandbox, ada: ScriptedUser) -> None:
    """A file goes in through the CDN, an answer changes, pictures come out, a button counts."""
    reply = await ada.slash("draw", prompt="a fox", count=2, base=Upload("base.png", png()))
    message = await _finished(server, reply.original_message)
    assert [item.filename for item in message.attachments] == ["picture-0.png", "picture-1.png"]
    assert message.embeds[0]["title"] == "a fox"
    await ada.click(message, "Count 0")
    assert [button["label"] for button in message.buttons] == ["Count 1"]


async def completes(server: Sandbox, ada: ScriptedUser) -> None:
    """What is half typed is completed."""
    offered = await ada.autocomplete("draw", focused="model", value="p", prompt="a fox")
    assert [choice["value"] for choice in offered] == ["paintbox", "pastel"]


async def asks_back(server: Sandbox, ada: ScriptedUser) -> None:
    """A button opens a form with an upload; what is said to it is seen by one."""
    panel = (await ada.slash("panel")).original_message
    assert panel is not None
    opened = await ada.click(panel, "Feedback")
    sent = await ada.submit_modal(opened, {"words": "fine", "mood": ["good"], "proof": Upload("a.txt", b"12345")})
    assert sent.ephemeral
    assert sent.original_message is not None
    assert sent.original_message.content == "fine/good/[5]"


async def _finished(server: Sandbox, message: Message | None) -> Message:
    assert message is not None
    await server.wait_for(lambda: message.buttons)
    return message


SCENARIOS = (draws, completes, asks_back)
