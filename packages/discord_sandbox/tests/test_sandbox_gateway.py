"""The gateway: identify, resume, shards, intents and close codes, by raw socket and by discord.py."""

from __future__ import annotations

from collections.abc import AsyncIterator

import discord as dpy
import pytest
from raw_bot import RawBot, pending, raw_bot
from sample_bot import SampleBot, running

from discord_sandbox import Sandbox
from discord_sandbox.snowflake import compute_shard

GUILDS, GUILD_MESSAGES, DIRECT_MESSAGES, MESSAGE_CONTENT = 1, 1 << 9, 1 << 12, 1 << 15


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server


@pytest.fixture
async def bot(server: Sandbox) -> AsyncIterator[RawBot]:
    async with raw_bot(server) as bot:
        yield bot


@pytest.mark.parametrize("query", ["v=10&encoding=json", "v=10&encoding=json&compress=zlib-stream"])
async def test_hello_heartbeat_identify_ready_guilds(server: Sandbox, bot: RawBot, query: str) -> None:
    guild = server.add_guild("Guild")
    guild.add_member("ada")
    assert (await bot.connect(query=query))["heartbeat_interval"] == 41250
    await bot.send(1, None)
    assert (await bot.receive())["op"] == 11
    ready = await bot.identify()
    assert ready["guilds"] == [{"id": str(guild.id), "unavailable": True}]
    created = await bot.event("GUILD_CREATE")
    assert [m["user"]["username"] for m in created["members"]] == ["Bot"], "no members without their intent"
    assert server.gateway.is_connected


@pytest.mark.parametrize(
    ("identify", "code"),
    [
        ({"token": "no"}, 4004),
        ({"shard": [2, 2]}, 4010),
        ({"intents": 1 << 30}, 4013),
    ],
)
async def test_identify_is_refused_with_its_close_code(bot: RawBot, identify: dict[str, object], code: int) -> None:
    await bot.connect()
    await bot.send(2, {"token": bot.server.token, "properties": {}, "intents": 1} | identify)
    assert await bot.receive() == {"closed": code}


async def test_privileged_intents_must_be_granted(server: Sandbox, bot: RawBot) -> None:
    server.application.privileged_intents = 0
    await bot.connect()
    await bot.send(2, {"token": server.token, "properties": {}, "intents": MESSAGE_CONTENT})
    assert await bot.receive() == {"closed": 4014}


@pytest.mark.parametrize(
    ("op", "data", "code"), [(8, {}, 4003), (99, {}, 4003), (1, "x" * 5000, 4002)], ids=["early", "unknown", "huge"]
)
async def test_bad_payloads_close_the_connection(bot: RawBot, op: int, data: object, code: int) -> None:
    await bot.connect()
    await bot.send(op, data)
    assert await bot.receive() == {"closed": code}


async def test_resume_replays_what_was_missed(server: Sandbox, bot: RawBot) -> None:
    guild = server.add_guild("Guild")
    await bot.connect()
    ready = await bot.identify()
    await bot.event("GUILD_CREATE")
    await bot.socket.close(code=4000)
    await server.wait_for(lambda: not server.gateway.is_connected)
    guild.add_channel("while-away")
    await bot.connect()
    await bot.send(6, {"token": server.token, "session_id": ready["session_id"], "seq": 2})
    missed = await bot.receive()
    assert (missed["t"], missed["s"], missed["d"]["name"]) == ("CHANNEL_CREATE", 3, "while-away")
    assert (await bot.receive())["t"] == "RESUMED"


async def test_an_unknown_session_is_invalid(server: Sandbox, bot: RawBot) -> None:
    await bot.connect()
    await bot.send(6, {"token": server.token, "session_id": "none", "seq": 1})
    payload = await bot.receive()
    assert (payload["op"], payload["d"]) == (9, False)
    assert (await bot.identify())["session_id"], "a fresh IDENTIFY on the same connection is right"


async def test_guilds_go_to_their_shard(server: Sandbox) -> None:
    guilds = [server.add_guild(str(number)) for number in range(9)]
    async with running(server, SampleBot(shard_count=3)) as bot:
        for guild in guilds:
            found = bot.get_guild(guild.id)
            assert found is not None and found.shard_id == compute_shard(guild.id, 3)
        assert len({guild.shard_id for guild in bot.guilds}) == 3
        channel = guilds[4].add_channel("x")
        reply = await server.act_as(guilds[4].add_member("ada"), channel).slash("whisper")
        assert reply.ephemeral


@pytest.mark.parametrize(
    ("intents", "content"), [(GUILDS | GUILD_MESSAGES, ""), (MESSAGE_CONTENT | GUILD_MESSAGES, "hi")]
)
async def test_words_are_hidden_without_the_content_intent(
    server: Sandbox, bot: RawBot, intents: int, content: str
) -> None:
    guild = server.add_guild("Guild")
    ada = server.act_as(guild.add_member("ada"), guild.add_channel("x"))
    await bot.connect()
    await bot.identify(intents=intents)
    ada.say("hi")
    assert (await bot.event("MESSAGE_CREATE"))["content"] == content
    ada.say(f"hi {server.application.bot.mention}")
    assert (await bot.event("MESSAGE_CREATE"))["content"].startswith("hi <@"), "a mention may be read"


@pytest.mark.parametrize(("privileged", "content"), [(0, ""), (MESSAGE_CONTENT, "hi")])
async def test_words_are_hidden_over_http_from_an_application_without_the_content_intent(
    server: Sandbox, privileged: int, content: str
) -> None:
    guild = server.add_guild("Guild")
    channel = guild.add_channel("x")
    said = server.act_as(guild.add_member("ada"), channel).say("hi")
    server.application.privileged_intents = privileged
    bot = SampleBot()
    async with running(server, bot):
        partial = bot.get_partial_messageable(channel.id)
        assert (await partial.fetch_message(said.id)).content == content
        assert [each.content async for each in partial.history()] == [content]


async def test_ephemeral_and_hidden_messages_make_no_events(server: Sandbox) -> None:
    guild = server.add_guild("Guild")
    channel = guild.add_channel("x")
    ada = server.act_as(guild.add_member("ada"), channel)
    bot = SampleBot(intents=dpy.Intents(guilds=True, messages=True, message_content=True))
    async with running(server, bot):
        await ada.slash("whisper", text="secret")
        hidden = guild.add_channel("hidden")
        server.faults.take_permission(hidden, 1 << 10)
        server.act_as(ada.member, hidden).say("unseen")
        ada.say("seen")
        await server.wait_for(lambda: any(e.name == "MESSAGE_CREATE" for e in server.journal.events))
        answer = await ada.slash("panel")
        assert answer.acknowledged
        assert ("message", "seen") in bot.seen
        assert not {("message", "secret"), ("message", "unseen")} & set(bot.seen)


async def test_removal_from_a_guild_ends_access(server: Sandbox) -> None:
    guild = server.add_guild("Guild")
    async with running(server) as bot:
        guild.kick_bot()
        with pytest.raises(dpy.NotFound):
            await bot.fetch_guild(guild.id)


async def test_events_and_frames_of_any_shape(server: Sandbox, bot: RawBot) -> None:
    await bot.connect()
    ready = await bot.identify()
    server.faults.send_event("ODD", ["any", "shape"])
    assert (await bot.receive())["d"] == ["any", "shape"]
    server.faults.send_frame('{"no": "event"}')
    assert await bot.receive() == {"no": "event"}
    server.faults.send_frame(b"raw", is_replayed=True)
    assert bot.socket is not None and (await bot.socket.receive(timeout=5)).data == b"raw"
    await bot.socket.close(code=4000)
    await server.wait_for(lambda: not server.gateway.is_connected)
    await bot.connect()
    await bot.send(6, {"token": server.token, "session_id": ready["session_id"], "seq": 2})
    assert (await bot.socket.receive(timeout=5)).data == b"raw", "a frame that is replayed has a number of its own"
    assert (await bot.receive())["t"] == "RESUMED"


async def test_an_event_is_altered_as_often_as_asked(server: Sandbox, bot: RawBot) -> None:
    server.faults.alter_event("READY", lambda data: {"was": data["v"]})
    await bot.connect()
    assert await bot.identify() == {"was": 10}
    await bot.connect()
    assert (await bot.identify())["v"] == 10
    server.faults.alter_event("HELLO", lambda data: data | {"more": 1})
    assert (await bot.connect())["more"] == 1


async def test_connections_are_refused_as_often_as_asked(server: Sandbox, bot: RawBot) -> None:
    refusal = server.faults.refuse_gateway(4008)
    await bot.connect()
    await bot.send(2, {"token": server.token, "properties": {}, "intents": 1})
    assert await bot.receive() == {"closed": 4008} and refusal.num_met == 1
    await bot.connect()
    assert (await bot.identify())["v"] == 10 and server.gateway.num_connections == 2


async def test_an_interaction_can_be_delivered_twice(server: Sandbox, bot: RawBot) -> None:
    guild = server.add_guild("Guild")
    ada = server.act_as(guild.add_member("ada"), guild.add_channel("x"))
    await bot.connect()
    await bot.identify()
    await bot.call("PUT", f"/applications/{server.application.id}/commands", [{"name": "ping", "description": "x"}])
    waiting = await pending(bot, ada)
    await waiting.respond(4, {"content": "pong"})
    server.faults.send_again(await waiting.act)
    again = await bot.event("INTERACTION_CREATE")
    assert (again["id"], again["token"]) == (waiting.event["id"], waiting.event["token"])


async def test_a_role_that_goes_is_named_by_its_id(server: Sandbox, bot: RawBot) -> None:
    guild = server.add_guild("Guild")
    role = guild.add_role("x")
    await bot.connect()
    await bot.identify()
    server.world.publish("role_delete", guild=guild, role=role)
    assert await bot.event("GUILD_ROLE_DELETE") == {"guild_id": str(guild.id), "role_id": str(role.id)}
