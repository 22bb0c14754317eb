"""An independent discord.py bot, driven as users drive it: every kind of interaction, over the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sample_bot import SampleBot, png, running

from discord_sandbox import ActionRefusedError, Permission, Sandbox, ScriptedUser, Upload


@pytest.fixture
async def discord() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed_world=True) as server:
        async with running(server):
            yield server
        assert not server.violations, "\n".join(map(str, server.violations))


def act_as_member(server: Sandbox, name: str = "cleo", channel: str = "general") -> ScriptedUser:
    guild = next(g for g in server.world.guilds.values() if g.name == "Harbour")
    member = next(m for m in guild.members.values() if m.user.username == name)
    return server.act_as(member, next(c for c in guild.channels.values() if c.name == channel))


async def test_slash_command_defers_and_edits_in_files(discord: Sandbox) -> None:
    reply = await act_as_member(discord).slash("draw", prompt="a red circle", count=2)
    assert reply.response_type == 5
    message = await discord.wait_for(lambda: reply.original_message if reply.original_message.attachments else None)
    assert [a.filename for a in message.attachments] == ["picture-0.png", "picture-1.png"]
    assert message.embeds[0]["fields"] == [{"name": "Count", "value": "2", "inline": True}]
    assert message.attachments[1].width == 65


async def test_uploaded_option_is_read_from_the_cdn(discord: Sandbox) -> None:
    picture = png(3, 3)
    reply = await act_as_member(discord).slash("draw", prompt="x", base=Upload("base.png", picture))
    await discord.wait_for(lambda: reply.original_message.attachments)
    edits = [c.request["content"] for c in discord.journal.calls if c.method == "PATCH"]
    assert edits[0] == f"Drawing **x** from {len(picture)} bytes …"


async def test_autocomplete_offers_what_the_bot_answers(discord: Sandbox) -> None:
    choices = await act_as_member(discord).autocomplete("draw", focused="model", value="pa", prompt="half a sen")
    assert choices == [{"name": "The paintbox", "value": "paintbox"}, {"name": "The pastel", "value": "pastel"}]


async def test_buttons_edit_open_modals_and_follow_up(discord: Sandbox) -> None:
    cleo = act_as_member(discord)
    message = (await cleo.slash("panel")).original_message
    assert message is not None and [b["label"] for b in message.buttons] == ["Feedback", "Think", "Off"]
    thinking = await cleo.click(message, "Think")
    assert thinking.response_type == 6
    await discord.wait_for(lambda: thinking.followups)
    assert message.content == "thought" and message.edited_timestamp is not None
    assert thinking.followups[0].is_ephemeral and thinking.followups[0].reference is message
    with pytest.raises(ActionRefusedError, match="disabled"):
        await cleo.click(message, "off")


async def test_modal_carries_text_choice_and_file(discord: Sandbox) -> None:
    cleo = act_as_member(discord)
    message = (await cleo.slash("panel")).original_message
    opened = await cleo.click(message, "feedback")
    assert opened.modal is not None and opened.modal["title"] == "Feedback"
    with pytest.raises(ActionRefusedError, match="at least 2"):
        await cleo.submit_modal(opened, {"words": "x"})
    sent = await cleo.submit_modal(opened, {"words": "very fine", "mood": "Good", "proof": Upload("a.txt", b"12345")})
    assert sent.original_message.content == "very fine/good/[5]" and sent.ephemeral


async def test_selects_of_text_and_of_members(discord: Sandbox) -> None:
    cleo, bo = act_as_member(discord), act_as_member(discord, "bo")
    message = (await cleo.slash("panel")).original_message
    chosen = await cleo.select(message, "who", [bo.member])
    assert chosen.original_message.content == "chose bo"
    await cleo.select(message, "colour", ["Blue"])
    assert message.content == "colour b"


async def test_ephemeral_messages_are_for_one_person(discord: Sandbox) -> None:
    cleo, bo = act_as_member(discord), act_as_member(discord, "bo")
    reply = await cleo.slash("whisper", text="secret")
    assert reply.ephemeral and reply.original_message in cleo.list_visible_messages()
    assert reply.original_message not in bo.list_visible_messages()
    cleo.dismiss(reply.original_message)
    assert reply.original_message not in cleo.list_visible_messages()


async def test_context_menus_on_messages_and_members(discord: Sandbox) -> None:
    cleo, bo = act_as_member(discord), act_as_member(discord, "bo")
    said = bo.say("hello there")
    assert (await cleo.context_menu("Count letters", said)).original_message.content == "11 letters"
    assert (await cleo.context_menu("Greet", bo.member)).original_message.content == "Hello Bo"


async def test_subcommands_resolve_roles_and_channels_and_respect_permissions(discord: Sandbox) -> None:
    ada, cleo = act_as_member(discord, "ada"), act_as_member(discord)
    role = next(r for r in ada.member.guild.roles.values() if r.name == "Regular")
    reply = await ada.slash("settings limits set", value=3, role=role, where=ada.channel)
    assert reply.original_message.content == "3 for Regular in general"
    with pytest.raises(ActionRefusedError, match="lack the permission"):
        await cleo.slash("settings show")
    assert (await cleo.forging.slash("settings show")).original_message.content == "nothing set"


async def test_components_v2_come_back_resolved(discord: Sandbox) -> None:
    cleo = act_as_member(discord)
    message = (await cleo.slash("showcase")).original_message
    gallery = next(c for c in message.list_components() if c["type"] == 12)
    assert gallery["items"][0]["media"]["width"] == 96
    await cleo.click(message, "Count 0")
    assert [b["label"] for b in message.buttons] == ["Count 1"]


async def test_a_file_shown_by_an_embed_is_not_listed_beside_it(discord: Sandbox) -> None:
    message = (await act_as_member(discord).slash("framed")).original_message
    answered = discord.journal.calls[-1].response["resource"]["message"]
    assert answered["attachments"] == [] and "hm=" in answered["embeds"][0]["image"]["url"]
    assert message.attachments[0].filename == "frame.png"


async def test_age_restricted_commands_only_in_such_channels(discord: Sandbox) -> None:
    with pytest.raises(ActionRefusedError, match="age-restricted"):
        await act_as_member(discord).slash("adult")
    assert (await act_as_member(discord, channel="after-dark").slash("adult")).original_message.content == "ok"


async def test_direct_messages_carry_a_user_and_no_member(discord: Sandbox) -> None:
    dm = discord.act_as(act_as_member(discord).member)
    reply = await dm.slash("whisper")
    assert reply.guild is None and reply.original_message.channel.is_dm


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({}, "prompt is required"),
        ({"prompt": "x", "count": 9}, "at most 4"),
        ({"prompt": "x" * 201}, "at most 200"),
        ({"prompt": "x", "nope": 1}, "no option nope"),
        ({"prompt": "x", "count": "two"}, "whole number"),
    ],
)
async def test_the_client_stops_what_does_not_fit(discord: Sandbox, options: dict[str, object], reason: str) -> None:
    with pytest.raises(ActionRefusedError, match=reason):
        await act_as_member(discord).slash("draw", **options)


async def test_no_rights_to_write_no_words(discord: Sandbox) -> None:
    with pytest.raises(ActionRefusedError):
        act_as_member(discord, channel="announcements").say("hi")
    assert not act_as_member(discord).permissions & Permission.MANAGE_GUILD


async def test_a_press_after_a_restart_reaches_the_new_bot() -> None:
    async with Sandbox(seed_world=True) as server:
        cleo = act_as_member(server)
        async with running(server):
            message = (await cleo.slash("panel")).original_message
            reply = await cleo.slash("draw", prompt="x")
            drawn = await server.wait_for(lambda: reply.original_message if reply.original_message.buttons else None)
        async with running(server, SampleBot()):
            await cleo.click(drawn, "Count 0")
            assert drawn.buttons[0]["label"] == "Count 1"
            assert (await cleo.click(message, "Think")).response_type == 6
        assert not server.violations
