"""Discord's refusals: every limit answers with Discord's own code and is recorded as a violation."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from raw_bot import RawBot, pending, raw_bot
from sample_bot import png

from discord_sandbox import ActionRefusedError, Channel, Permission, Sandbox, ScriptedUser

PING = {"name": "ping", "description": "Answers"}


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server
    ours = [str(violation) for violation in server.violations if violation.side == "response"]
    assert not ours, "the sandbox itself breaks the description:\n" + "\n".join(ours)


@pytest.fixture
async def bot(server: Sandbox) -> AsyncIterator[RawBot]:
    async with raw_bot(server) as bot:
        yield bot


@pytest.fixture
def channel(server: Sandbox) -> Channel:
    return server.add_guild("Guild").add_channel("general")


@pytest.fixture
async def actor(server: Sandbox, bot: RawBot, channel: Channel) -> ScriptedUser:
    """A member of a guild whose bot is connected and knows /ping."""
    await bot.call("PUT", f"/applications/{server.application.id}/commands", [PING])
    await bot.connect()
    await bot.identify()
    return server.act_as(channel.guild.add_member("ada"), channel)


def button(**more: Any) -> dict[str, Any]:
    return {"type": 2, "style": 1, "label": "Go", "custom_id": "go"} | more


def link(length: int) -> dict[str, Any]:
    return {"type": 2, "style": 5, "label": "Go", "url": "https://a.b/".ljust(length, "x")}


def row(*children: dict[str, Any]) -> dict[str, Any]:
    return {"type": 1, "components": list(children)}


BAD_MESSAGES: dict[str, tuple[dict[str, Any], int]] = {
    "nothing in it": ({}, 50006),
    "content of 2001": ({"content": "x" * 2001}, 50035),
    "eleven embeds": ({"embeds": [{"title": "x"}] * 11}, 50035),
    "an empty embed": ({"embeds": [{}]}, 50035),
    "a title of 257": ({"embeds": [{"title": "x" * 257}]}, 50035),
    "6001 over several embeds": ({"embeds": [{"description": "x" * 3001}, {"description": "x" * 3000}]}, 50035),
    "26 fields": ({"embeds": [{"fields": [{"name": "a", "value": "b"}] * 26}]}, 50035),
    "a blank field": ({"embeds": [{"fields": [{"name": "a", "value": " "}]}]}, 50035),
    "a file that is not there": ({"embeds": [{"image": {"url": "attachment://x.png"}}]}, 50035),
    "six rows": ({"content": "x", "components": [row(button(custom_id=str(n))) for n in range(6)]}, 50035),
    "six buttons": ({"content": "x", "components": [row(*[button(custom_id=str(n)) for n in range(6)])]}, 50035),
    "one custom_id twice": ({"content": "x", "components": [row(button(), button())]}, 50035),
    "custom_id of 101": ({"content": "x", "components": [row(button(custom_id="x" * 101))]}, 50035),
    "a link with a custom_id": ({"content": "x", "components": [row(button(style=5, url="https://a.b"))]}, 50035),
    "a link of 513": ({"content": "x", "components": [row(link(513))]}, 50035),
    "a button without a label": ({"content": "x", "components": [row(button(label=None))]}, 50035),
    "v2 without its flag": ({"components": [{"type": 10, "content": "x"}]}, 50035),
    "v2 with content": ({"content": "x", "flags": 1 << 15, "components": [{"type": 10, "content": "x"}]}, 50035),
    "41 components": ({"flags": 1 << 15, "components": [{"type": 10, "content": "x"}] * 41}, 50035),
    "mentions listed and parsed": ({"content": "x", "allowed_mentions": {"parse": ["users"], "users": ["1"]}}, 50035),
    "a nonce of 26": ({"content": "x", "nonce": "n" * 26}, 50035),
    "a reply to nothing": ({"content": "x", "message_reference": {"message_id": "1"}}, 50035),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
async def test_bad_messages_are_refused_and_recorded(server: Sandbox, bot: RawBot, channel: Channel, name: str) -> None:
    body, code = BAD_MESSAGES[name]
    status, answer = await bot.call("POST", f"/channels/{channel.id}/messages", body)
    assert (status, answer["code"]) == (400, code)
    assert [v for v in server.violations if v.source == "rules"] and not channel.messages


GOOD_MESSAGES: dict[str, dict[str, Any]] = {
    "content of 2000": {"content": "x" * 2000},
    "6000 over several embeds": {"embeds": [{"description": "x" * 3000}, {"description": "x" * 3000}]},
    "five rows of five": {
        "content": "x",
        "components": [row(*[button(custom_id=f"{y}{x}") for x in range(5)]) for y in range(5)],
    },
    "a link of 512": {"content": "x", "components": [row(link(512))]},
    "v2": {"flags": 1 << 15, "components": [{"type": 10, "content": "x"}]},
    "a nonce of 25": {"content": "x", "nonce": "n" * 25},
}


@pytest.mark.parametrize("name", GOOD_MESSAGES)
async def test_messages_at_the_limits_pass(server: Sandbox, bot: RawBot, channel: Channel, name: str) -> None:
    """The control of the test above: the same messages, one character less."""
    status, _ = await bot.call("POST", f"/channels/{channel.id}/messages", GOOD_MESSAGES[name])
    assert status == 200 and not server.violations and len(channel.messages) == 1


def option(**more: Any) -> dict[str, Any]:
    return {"type": 3, "name": "text", "description": "Words"} | more


BAD_COMMANDS: dict[str, list[dict[str, Any]]] = {
    "upper case": [PING | {"name": "Ping"}],
    "a blank in the name": [PING | {"name": "my ping"}],
    "no description": [{"name": "ping"}],
    "description of 101": [PING | {"description": "x" * 101}],
    "a name twice": [PING, PING],
    "optional before required": [PING | {"options": [option(), option(name="b", required=True)]}],
    "an option twice": [PING | {"options": [option(), option()]}],
    "26 options": [PING | {"options": [option(name=f"o{n}") for n in range(26)]}],
    "26 choices": [PING | {"options": [option(choices=[{"name": str(n), "value": str(n)} for n in range(26)])]}],
    "choices and autocomplete": [
        PING | {"options": [option(autocomplete=True, choices=[{"name": "a", "value": "a"}])]}
    ],
    "a choice of 101": [PING | {"options": [option(choices=[{"name": "a", "value": "x" * 101}])]}],
    "a number as text choice": [PING | {"options": [option(choices=[{"name": "a", "value": 1}])]}],
    "subcommand beside option": [PING | {"options": [option(), option(type=1, name="sub")]}],
    "a described context menu": [{"name": "Ping", "type": 3, "description": "x"}],
    "101 commands": [PING | {"name": f"p{n}"} for n in range(101)],
}


@pytest.mark.parametrize("name", BAD_COMMANDS)
async def test_bad_commands_are_refused(server: Sandbox, bot: RawBot, name: str) -> None:
    path = f"/applications/{server.application.id}/commands"
    status, answer = await bot.call("PUT", path, BAD_COMMANDS[name])
    assert (status, answer["code"]) == (400, 50035)
    assert server.violations and not server.commands


async def test_commands_keep_their_ids_while_their_names_stay(server: Sandbox, bot: RawBot) -> None:
    path = f"/applications/{server.application.id}/commands"
    _, (first,) = await bot.call("PUT", path, [PING])
    _, (same,) = await bot.call("PUT", path, [PING])
    _, (changed, _) = await bot.call("PUT", path, [PING | {"description": "New"}, PING | {"name": "pong"}])
    assert first == same and changed["id"] == first["id"] and changed["version"] != first["version"]
    assert (await bot.call("DELETE", f"{path}/{first['id']}"))[0] == 204
    assert [c["name"] for c in server.commands] == ["pong"]


async def test_a_second_answer_is_refused(server: Sandbox, bot: RawBot, actor: ScriptedUser) -> None:
    waiting = await pending(bot, actor)
    assert (await waiting.respond(4, {"content": "one"}))[0] == 200
    status, answer = await waiting.respond(4, {"content": "two"})
    assert (status, answer["code"]) == (400, 40060)
    assert [m.content for m in (await waiting.act).messages] == ["one"]
    assert "already been acknowledged" in str(server.violations[0])


async def test_an_answer_after_the_deadline_is_refused(server: Sandbox, bot: RawBot, actor: ScriptedUser) -> None:
    waiting = await pending(bot, actor)
    server.end_deadlines()
    interaction = await waiting.act
    assert interaction.failed and interaction.acknowledged is None
    status, answer = await waiting.respond(4, {"content": "late"})
    assert (status, answer["code"]) == (404, 10062) and server.violations


async def test_the_token_dies_after_fifteen_minutes(server: Sandbox, bot: RawBot, actor: ScriptedUser) -> None:
    waiting = await pending(bot, actor)
    await waiting.respond(5)
    server.clock.advance(14 * 60)
    assert (await bot.call("PATCH", f"{waiting.hook}/messages/@original", {"content": "14"}))[0] == 200
    server.clock.advance(2 * 60)
    status, answer = await bot.call("PATCH", f"{waiting.hook}/messages/@original", {"content": "16"})
    assert (status, answer["code"]) == (401, 50027)
    assert not server.violations, "an expired token is bad luck, not a fault"


async def test_the_token_leads_nowhere_once_the_channel_is_deleted(
    server: Sandbox, bot: RawBot, channel: Channel, actor: ScriptedUser
) -> None:
    waiting = await pending(bot, actor)
    await waiting.respond(5)
    server.faults.delete_channel(channel)
    for method, path in (("PATCH", f"{waiting.hook}/messages/@original"), ("POST", waiting.hook)):
        status, answer = await bot.call(method, path, {"content": "too late"})
        assert (status, answer["code"]) == (404, 10003)
    assert not server.violations, "bad luck, not a fault"


async def test_the_first_follow_up_after_a_defer_is_the_response(bot: RawBot, actor: ScriptedUser) -> None:
    waiting = await pending(bot, actor)
    await waiting.respond(5, {"flags": 64})
    interaction = await waiting.act
    assert interaction.original_message.is_loading and interaction.ephemeral
    await bot.call("POST", waiting.hook, {"content": "one"})
    await bot.call("POST", waiting.hook, {"content": "two"})
    assert interaction.original_message.content == "one" and not interaction.original_message.is_loading
    assert [m.content for m in interaction.followups] == ["two"]


async def test_follow_ups_before_the_answer_are_unknown(bot: RawBot, actor: ScriptedUser) -> None:
    waiting = await pending(bot, actor)
    status, answer = await bot.call("POST", waiting.hook, {"content": "early"})
    assert (status, answer["code"]) == (404, 10015)
    await waiting.respond(4, {"content": "now"})
    await waiting.act


async def test_a_user_installed_bot_has_five_follow_ups(server: Sandbox, bot: RawBot, actor: ScriptedUser) -> None:
    guild = server.add_guild("Without bot", has_bot=False)
    everywhere = PING | {"integration_types": [0, 1]}
    await bot.call("PUT", f"/applications/{server.application.id}/commands", [everywhere])
    with pytest.raises(ActionRefusedError, match="the bot is not in this server"):
        await server.act_as(guild.add_member(actor.user), guild.add_channel("x")).slash("ping")
    server.application.installed_by_users.add(actor.user.id)
    there = server.act_as(guild.members[actor.user.id], guild.add_channel("y"))
    waiting = await pending(bot, there)
    assert waiting.event["authorizing_integration_owners"] == {"1": str(actor.user.id)}
    await waiting.respond(4, {"content": "0"})
    answers = [await bot.call("POST", waiting.hook, {"content": str(n)}) for n in range(6)]
    assert [status for status, _ in answers] == [200] * 5 + [400] and answers[5][1]["code"] == 40094


async def test_in_a_group_only_those_who_installed_the_bot_have_it(
    server: Sandbox, bot: RawBot, actor: ScriptedUser
) -> None:
    other, stranger = server.add_user("other"), server.add_user("stranger")
    group = server.world.add_group("crew", actor.user, other)
    everywhere = PING | {"integration_types": [0, 1], "contexts": [0, 1, 2]}
    await bot.call("PUT", f"/applications/{server.application.id}/commands", [everywhere])
    with pytest.raises(ActionRefusedError, match="not installed for you"):
        await server.act_as(other, group).slash("ping")
    server.world.install_for(actor.user)
    waiting = await pending(bot, server.act_as(actor.user, group))
    event = waiting.event
    assert (event["context"], event["authorizing_integration_owners"]) == (2, {"1": str(actor.user.id)})
    assert (event["channel"]["type"], len(event["channel"]["recipients"]), "guild_id" in event) == (3, 2, False)
    await waiting.respond(4, {"content": "hello"})
    assert [m.content for m in server.act_as(other, group).list_visible_messages()] == ["hello"]
    before = len(server.journal.events)
    server.act_as(other, group).say("the bot does not hear this")
    status, answer = await bot.call("POST", f"/channels/{group.id}/messages", {"content": "nor writes here"})
    assert (status, answer["code"]) == (403, 50001) and len(server.journal.events) == before
    server.world.install_for(actor.user, is_installed=False)
    with pytest.raises(ActionRefusedError, match="not installed for you"):
        await server.act_as(actor.user, group).slash("ping")
    assert stranger not in group.recipients and not server.violations


async def test_without_use_external_apps_an_answer_is_seen_by_one_person(
    server: Sandbox, bot: RawBot, actor: ScriptedUser
) -> None:
    guild = server.add_guild("Without bot", has_bot=False)
    everywhere = PING | {"integration_types": [0, 1]}
    await bot.call("PUT", f"/applications/{server.application.id}/commands", [everywhere])
    server.world.install_for(actor.user)
    there = server.act_as(guild.add_member(actor.user), guild.add_channel("x"))
    for allowed in (True, False):
        bits = guild.everyone.permissions | Permission.USE_EXTERNAL_APPS
        guild.set_permissions(guild.everyone, bits if allowed else bits & ~Permission.USE_EXTERNAL_APPS)
        waiting = await pending(bot, there)
        await waiting.respond(4, {"content": "hello"})
        (message,) = there.channel.messages[-1:]
        assert message.is_ephemeral is not allowed


async def test_an_edit_keeps_only_the_listed_attachments(bot: RawBot, actor: ScriptedUser, server: Sandbox) -> None:
    waiting = await pending(bot, actor)
    await waiting.respond(5)
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", json.dumps({"attachments": [{"id": 0}, {"id": 1, "description": "blue"}]}))
    for number in range(2):
        form.add_field(f"files[{number}]", png(), filename=f"{number}.png", content_type="image/png")
    _, message = await bot.call("PATCH", f"{waiting.hook}/messages/@original", data=form)
    second = message["attachments"][1]
    assert (second["filename"], second["width"], second["description"]) == ("1.png", 8, "blue")
    await bot.call(
        "PATCH", f"{waiting.hook}/messages/@original", {"content": "kept", "attachments": [{"id": second["id"]}]}
    )
    _, message = await bot.call("PATCH", f"{waiting.hook}/messages/@original", {"content": "still"})
    assert [a["id"] for a in message["attachments"]] == [second["id"]]
    assert not server.violations


async def test_an_attachment_link_is_signed_and_expires(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", "{}")
    form.add_field("files[0]", png(), filename="a b.png")
    _, message = await bot.call("POST", f"/channels/{channel.id}/messages", data=form)
    url = message["attachments"][0]["url"]
    async with bot.session.get(url) as answer:
        assert await answer.read() == png() and answer.headers["Content-Type"] == "image/png"
    async with bot.session.get(url.replace("hm=", "hm=0")) as answer:
        assert answer.status == 404
    server.clock.advance(25 * 3600)
    async with bot.session.get(url) as answer:
        assert answer.status == 404


@pytest.mark.parametrize("num_bytes", [1000, 1001])
async def test_files_over_the_limit_are_refused(server: Sandbox, bot: RawBot, channel: Channel, num_bytes: int) -> None:
    channel.guild.attachment_size_limit = 1000
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files[0]", b"x" * num_bytes, filename="a.bin")
    status, answer = await bot.call("POST", f"/channels/{channel.id}/messages", data=form)
    assert (status, answer.get("code")) == ((200, None) if num_bytes <= 1000 else (413, 40005))


async def test_enforced_nonces_give_the_earlier_message_back(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    path, body = f"/channels/{channel.id}/messages", {"content": "x", "nonce": "job1", "enforce_nonce": True}
    _, first = await bot.call("POST", path, body)
    _, again = await bot.call("POST", path, body)
    _, plain = await bot.call("POST", path, body | {"enforce_nonce": False})
    server.clock.advance(600)
    _, later = await bot.call("POST", path, body)
    assert first["id"] == again["id"] and len({first["id"], plain["id"], later["id"]}) == 3


@pytest.mark.parametrize(
    ("taken", "code"),
    [(Permission.VIEW_CHANNEL, 50001), (Permission.SEND_MESSAGES, 50013), (Permission.ATTACH_FILES, 50013)],
)
async def test_lost_permissions_are_no_fault(
    server: Sandbox, bot: RawBot, channel: Channel, taken: Permission, code: int
) -> None:
    server.faults.take_permission(channel, taken)
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files[0]", b"x", filename="a.bin")
    status, answer = await bot.call("POST", f"/channels/{channel.id}/messages", data=form)
    assert (status, answer["code"]) == (403, code) and not server.violations
    server.faults.give_permission(channel, taken)
    assert (await bot.call("POST", f"/channels/{channel.id}/messages", {"content": "x"}))[0] == 200


async def test_deleted_things_have_their_own_codes(
    server: Sandbox, bot: RawBot, channel: Channel, actor: ScriptedUser
) -> None:
    said = actor.say("x")
    path = f"/channels/{channel.id}/messages/{said.id}"
    assert (await bot.call("PATCH", path, {"content": "y"}))[1]["code"] == 50005
    assert (await bot.call("DELETE", path))[1]["code"] == 50013
    assert (await bot.call("GET", f"/channels/{channel.id}/messages/1"))[1]["code"] == 10008
    server.faults.delete_channel(channel)
    assert (await bot.call("GET", path))[1]["code"] == 10003
    assert (await bot.call("GET", "/guilds/1"))[1]["code"] == 10004


async def test_threads_have_a_permission_of_their_own(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    thread = channel.add_thread("idea")
    channel.set_nsfw(True)
    server.faults.take_permission(channel, Permission.SEND_MESSAGES_IN_THREADS)
    assert thread.nsfw and (await bot.call("POST", f"/channels/{thread.id}/messages", {"content": "x"}))[0] == 403
    assert (await bot.call("POST", f"/channels/{channel.id}/messages", {"content": "x"}))[0] == 200


async def test_wrong_tokens_and_unknown_routes(server: Sandbox, bot: RawBot) -> None:
    assert (await bot.call("GET", "/users/@me", headers={"Authorization": "Bot no"}))[0] == 401
    assert not server.violations
    assert (await bot.call("GET", "/no/such/route"))[0] == 404
    assert server.violations


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Origin": "http://127.0.0.1:1"}]
)
async def test_foreign_hosts_and_origins_are_refused(bot: RawBot, headers: dict[str, str]) -> None:
    assert (await bot.session.get(bot.server.api_base + "/gateway", headers=headers)).status == 403
    assert (await bot.call("GET", "/gateway"))[0] == 200


async def test_many_answer_at_once(server: Sandbox, bot: RawBot, actor: ScriptedUser) -> None:
    waiting = [await pending(bot, actor) for _ in range(20)]
    await asyncio.gather(*(one.respond(4, {"content": "x"}) for one in waiting))
    answered = await asyncio.gather(*(one.act for one in waiting))
    assert all(one.ack_ms is not None for one in answered) and not server.violations


async def test_a_seeded_world_is_the_same_in_every_run() -> None:
    """A bot that keeps its database must find its people and channels again."""
    seen = []
    for _ in range(2):
        async with Sandbox(seed_world=True) as server:
            seen.append((server.application.id, sorted(server.world.users), sorted(server.world.channels)))
            newest = max(server.world.channels)
            assert server.add_guild("New").id > newest
    assert seen[0] == seen[1]


async def test_a_taken_port_is_an_error_that_leaves_nothing_open(server: Sandbox) -> None:
    with pytest.raises(OSError, match="address already in use"):
        async with Sandbox(port=int(server.url.rpartition(":")[2])):
            raise AssertionError("two sandboxes on one port")


async def test_a_failing_test_shows_words_and_no_secrets(bot: RawBot, actor: ScriptedUser) -> None:
    waiting = await pending(bot, actor)
    await waiting.respond(4, {"content": "hello", "components": [row(button())]})
    interaction = await waiting.act
    assert repr(interaction) == "<Interaction /ping by ada, answered with 4>"
    assert repr(interaction.messages) == "[<Message by Bot in #general: 'hello' files=[] buttons=['Go']>]"
