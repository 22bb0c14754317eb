"""A connection that ends, in every way Discord ends one: discord.py resumes, identifies again, or gives up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import discord as dpy
import pytest
from raw_bot import raw_bot
from sample_bot import SampleBot, pointed_at, running

from discord_sandbox import Guild, Sandbox, ScriptedUser
from discord_sandbox.snowflake import compute_shard

Trouble = Callable[[Sandbox], Awaitable[None]]


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server
        assert not server.violations, "\n".join(map(str, server.violations))


@pytest.fixture
def guild(server: Sandbox) -> Guild:
    return server.add_guild("Guild")


@pytest.fixture
def ada(server: Sandbox, guild: Guild) -> ScriptedUser:
    return server.act_as(guild.add_member("ada"), guild.add_channel("general"))


def closed(code: int) -> Trouble:
    return lambda server: server.faults.close_gateway(code)


async def asked_to_reconnect(server: Sandbox) -> None:
    server.faults.reconnect()


async def invalidated(server: Sandbox) -> None:
    server.faults.invalidate_session()


async def interrupted(server: Sandbox) -> None:
    server.faults.invalidate_session(is_resumable=True)


RESUMES = {str(code): closed(code) for code in (4000, 4001, 4002, 4003, 4005, 4008)}
RESUMES |= {"op 7": asked_to_reconnect, "op 9 true": interrupted}
BEGINS_ANEW = {str(code): closed(code) for code in (1000, 1001, 4007, 4009)} | {"op 9 false": invalidated}
WAYS = [(how, "RESUMED", RESUMES[how]) for how in RESUMES] + [(how, "READY", BEGINS_ANEW[how]) for how in BEGINS_ANEW]


@pytest.mark.parametrize(("wanted", "trouble"), [way[1:] for way in WAYS], ids=[way[0] for way in WAYS])
async def test_discord_py_comes_back_and_answers(
    server: Sandbox, ada: ScriptedUser, wanted: str, trouble: Trouble
) -> None:
    async with running(server):
        before, seen = server.gateway.num_identifies, len(server.journal.events)
        await trouble(server)
        await server.wait_for(lambda: any(e.name == wanted for e in server.journal.events[seen:]))
        assert server.gateway.num_identifies - before == (wanted == "READY")
        assert (await ada.slash("whisper")).ephemeral


@pytest.mark.parametrize("code", [4004, 4010, 4011, 4012, 4013, 4014])
async def test_discord_py_gives_up_where_it_must(server: Sandbox, code: int) -> None:
    error = dpy.PrivilegedIntentsRequired if code == 4014 else dpy.ConnectionClosed
    async with pointed_at(server):
        life = asyncio.create_task(SampleBot().start(server.token))
        await server.wait_until_ready()
        await server.faults.close_gateway(code)
        with pytest.raises(error):
            await life


async def test_resume_replays_missed_events_once_in_order(server: Sandbox, guild: Guild, ada: ScriptedUser) -> None:
    bot = SampleBot(intents=dpy.Intents(guilds=True, messages=True, message_content=True))
    async with running(server, bot):
        ada.say("before")
        await _sent_away(server)
        harbour = guild.add_channel("harbour")
        said = ada.say("one")
        ada.say("two")
        ada.client.messages.delete(said)
        await server.wait_for(lambda: any(e.name == "RESUMED" for e in server.journal.events))
        assert (await ada.slash("whisper")).ephemeral, "what came before RESUMED is handled by now"
        assert bot.get_channel(harbour.id) is not None
        assert bot.seen == [("message", "before"), ("message", "one"), ("message", "two"), ("delete", str(said.id))]
        assert bot.resumed == 1


async def test_a_command_while_the_bot_is_away_waits_for_it(server: Sandbox, ada: ScriptedUser) -> None:
    async with running(server):
        await _sent_away(server)
        reply = await ada.slash("whisper", text="still there?")
        assert reply.ephemeral and reply.original_message.content == "still there?"


async def _sent_away(server: Sandbox) -> None:
    """Return while the bot has no connection; it comes back by itself."""
    await server.faults.close_gateway(4000)
    await server.wait_for(lambda: not server.gateway.is_connected)
    assert not server.gateway.is_connected, "it is quick: nothing may be awaited after this"


async def test_only_the_named_shard_is_closed(server: Sandbox) -> None:
    guilds = [server.add_guild(str(number)) for number in range(4)]
    there = next(guild for guild in guilds if compute_shard(guild.id, 2) == 1)
    ada = server.act_as(there.add_member("ada"), there.add_channel("x"))
    bot = SampleBot(shard_count=2)
    async with running(server, bot):
        await server.faults.close_gateway(4000, shard=1)
        await server.wait_for(lambda: any(e.name == "RESUMED" for e in server.journal.events))
        assert (await ada.slash("whisper")).ephemeral
        assert sum(e.name == "RESUMED" for e in server.journal.events) == 1


async def test_a_session_that_missed_too_much_must_identify_again(
    server: Sandbox, guild: Guild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("discord_sandbox.gateway_session.REPLAY_LENGTH", 3)
    async with raw_bot(server) as bot:
        await bot.connect()
        ready = await bot.identify()
        await bot.event("GUILD_CREATE")
        await bot.socket.close(code=4000)
        await server.wait_for(lambda: not server.gateway.is_connected)
        for number in range(4):
            guild.add_channel(f"while-away-{number}")
        await bot.connect()
        await bot.send(6, {"token": server.token, "session_id": ready["session_id"], "seq": 2})
        payload = await bot.receive()
        assert (payload["op"], payload["d"]) == (9, False)


async def test_a_late_answer_of_a_bot_that_was_away_is_no_fault() -> None:
    """Its control is `test_an_answer_after_the_deadline_is_refused`: there the bot was there, and is blamed."""
    async with Sandbox(ack_deadline_s=0.1) as server, raw_bot(server) as bot:
        guild = server.add_guild("Guild")
        ada = server.act_as(guild.add_member("ada"), guild.add_channel("x"))
        await bot.call("PUT", f"/applications/{server.application.id}/commands", [{"name": "ping", "description": "x"}])
        await bot.connect()
        ready = await bot.identify()
        await bot.event("GUILD_CREATE")
        await bot.socket.close(code=4000)
        await server.wait_for(lambda: not server.gateway.is_connected)
        assert (await ada.slash("ping")).failed
        await bot.connect()
        await bot.send(6, {"token": server.token, "session_id": ready["session_id"], "seq": 2})
        event = await bot.event("INTERACTION_CREATE")
        path = f"/interactions/{event['id']}/{event['token']}/callback"
        status, answer = await bot.call("POST", path, {"type": 4, "data": {"content": "late"}})
        assert (status, answer["code"]) == (404, 10062) and not server.violations
