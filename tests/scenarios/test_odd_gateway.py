"""Events that discord.py cannot parse, frames that are none, and connections that break: the bot goes on."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from cogs.connection import CONNECTED, keep_connected
from cogs.pacing import Pacing
from discord_sandbox import Sandbox
from generation.errors import ConfigurationError
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

ODD_EVENTS: list[tuple[str, Any]] = [
    ("GUILD_ROLE_DELETE", {"guild_id": "GUILD", "role": {}}),
    ("GUILD_ROLE_DELETE", {"guild_id": "GUILD", "role_id": None}),
    ("GUILD_ROLE_CREATE", {"guild_id": "GUILD"}),
    ("GUILD_CREATE", {"id": "not a number"}),
    ("GUILD_CREATE", {"id": "1", "channels": [{}], "roles": None}),
    ("GUILD_UPDATE", None),
    ("GUILD_DELETE", 7),
    ("CHANNEL_CREATE", {"id": "2", "guild_id": "GUILD", "type": 99}),
    ("CHANNEL_CREATE", {"id": "2", "guild_id": "GUILD"}),
    ("CHANNEL_UPDATE", []),
    ("CHANNEL_DELETE", "text"),
    ("THREAD_CREATE", {"id": "3", "guild_id": "GUILD"}),
    ("THREAD_LIST_SYNC", {"guild_id": "GUILD", "threads": None}),
    ("INTERACTION_CREATE", {}),
    ("INTERACTION_CREATE", {"id": "4", "type": 99, "token": "x", "version": 1, "application_id": "1"}),
    ("INTERACTION_CREATE", None),
    ("MESSAGE_CREATE", {"id": None}),
    ("APPLICATION_COMMAND_PERMISSIONS_UPDATE", {}),
    ("ENTITLEMENT_CREATE", {}),
    ("RATE_LIMITED", {}),
    ("AN_EVENT_OF_NEXT_YEAR", None),
    ("AN_EVENT_OF_NEXT_YEAR", {"secret": "words"}),
]
ODD_FRAMES = [
    "",
    "no JSON",
    '{"op": 0, "t": "GUILD_UPDATE"',
    "[]",
    "null",
    "7",
    "{}",
    '{"op": 0}',
    '{"op": 0, "t": null, "s": null, "d": null}',
    '{"op": 0, "t": {"a": 1}, "s": 3, "d": {}}',
    '{"op": 0, "t": "GUILD_DELETE", "s": "later", "d": {}}',
    '{"op": 0, "t": "GUILD_DELETE", "s": 1e400, "d": {}}',
    '{"op": "0", "t": "GUILD_DELETE", "s": 3, "d": {}}',
    '{"op": 99, "d": {}}',
    '{"op": -1}',
    '{"op": 11, "d": 5}',
    '{"op": 0, "d": ' + "[" * 100_000 + "]" * 100_000 + "}",
]


async def _is_alive(discord: Sandbox, people: People) -> None:
    """The bot answers, whatever it was doing."""
    await discord.wait_for(lambda: discord.gateway.is_connected, timeout_s=60)
    assert (await people.ada.slash("about")).ephemeral


def _all_read(discord: Sandbox) -> Callable[[], bool]:
    """What is sent in order is read in order: a heartbeat that is asked for now is answered when the rest is read."""
    discord.faults.send_frame('{"op": 1, "d": null, "s": null, "t": null}')
    before = len([event for event in discord.journal.events if event.op == 1])
    return lambda: len([event for event in discord.journal.events if event.op == 1]) > before


async def test_what_cannot_be_parsed_is_skipped_and_the_connection_stays(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    asked = await people.ada.slash("imagine", prompt="slow-image", steps=6)
    await until_shown(discord, asked)
    connections = discord.gateway.num_connections
    with caplog.at_level(logging.INFO):
        for name, data in ODD_EVENTS:
            discord.faults.send_event(name, json.loads(json.dumps(data).replace("GUILD", str(people.guild.id))))
        for frame in ODD_FRAMES:
            discord.faults.send_frame(frame)
        await discord.wait_for(_all_read(discord))
    await _is_alive(discord, people)
    await until_done(discord, asked)
    assert discord.gateway.num_connections == connections
    assert "event=GUILD_ROLE_DELETE error=KeyError at=parse_guild_role_delete" in caplog.text
    assert "words" not in caplog.text, "contents are not logged"


async def test_an_answer_that_comes_at_once_is_not_called_late(
    discord: Sandbox, people: People, bot: LivingBot, caplog: pytest.LogCaptureFixture
) -> None:
    """discord.py's thread notes when it sent a heartbeat; on a busy machine it gets to that after the answer."""
    (shard,) = bot.client.shards.values()
    keep_alive = shard._parent.ws._keep_alive
    keep_alive._last_send -= 41.25  # as long ago as the heartbeat before
    late = keep_alive._last_ack
    await shard._parent.ws.send_heartbeat(keep_alive.get_payload())
    await discord.wait_for(lambda: keep_alive._last_ack > late)
    assert bot.client.latency < 41
    assert "behind" not in caplog.text


class Kept:
    """The bot with a client that its supervisor replaces, as `serve` runs it."""

    def __init__(self, bot: LivingBot) -> None:
        self._bot = bot
        self._connected = asyncio.Event()
        token, url = bot.discord.token, bot.discord.url
        self.keeping = asyncio.create_task(keep_connected(bot.services, token, url=url, report=self._hear))

    def _hear(self, state: str) -> None:
        (self._connected.set if state == CONNECTED else self._connected.clear)()

    async def is_alive(self, people: People) -> None:
        await asyncio.wait_for(self._connected.wait(), 90)
        await _is_alive(self._bot.discord, people)
        assert not self.keeping.done()


@asynccontextmanager
async def kept_connected(bot: LivingBot) -> AsyncIterator[Kept]:
    await bot.client.close()
    kept = Kept(bot)
    try:
        yield kept
    finally:
        kept.keeping.cancel()
        await asyncio.wait((kept.keeping,))


async def test_a_listener_of_ours_that_fails_ends_nothing(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()

    async def fail(guild_id: int) -> None:
        failed.set()
        raise KeyError("a slip of ours")

    monkeypatch.setattr(bot.services.removed_guilds, "mark_returned", fail)
    discord.add_guild("New")
    await asyncio.wait_for(failed.wait(), 60)
    await _is_alive(discord, people)


@pytest.mark.parametrize("is_replayed", [False, True], ids=["once", "replayed"])
async def test_a_compression_that_breaks_costs_one_connection(
    discord: Sandbox, people: People, bot: LivingBot, is_replayed: bool
) -> None:
    """Replayed on RESUME it would break every connection: then the bot identifies."""
    identifies = discord.gateway.num_identifies
    discord.faults.send_frame(b"no zlib \x00\x00\xff\xff", is_replayed=is_replayed)
    await discord.wait_for(lambda: discord.gateway.num_connections > 1 + is_replayed, timeout_s=60)
    if is_replayed:
        await discord.wait_for(lambda: discord.gateway.num_identifies == identifies + 1, timeout_s=60)
    await _is_alive(discord, people)
    assert discord.gateway.num_identifies == identifies + is_replayed


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("HELLO", None),
        ("HELLO", {"heartbeat_interval": 0}),
        ("READY", {}),
        ("READY", {"session_id": "x", "resume_gateway_url": 5}),
        ("READY", {"session_id": "x", "resume_gateway_url": "ws://127.0.0.1", "guilds": [{}]}),
    ],
    ids=str,
)
async def test_a_session_that_begins_oddly_is_begun_again(
    discord: Sandbox, people: People, bot: LivingBot, name: str, data: Any
) -> None:
    discord.faults.alter_event(name, lambda _: data)
    async with kept_connected(bot) as kept:
        await discord.wait_for(lambda: discord.gateway.num_connections >= 3, timeout_s=60)
        await kept.is_alive(people)


async def test_a_resumption_that_is_odd_becomes_a_new_session(discord: Sandbox, people: People, bot: LivingBot) -> None:
    identifies = discord.gateway.num_identifies
    discord.faults.alter_event("RESUMED", lambda _: None)
    await discord.faults.close_gateway(4000)
    await discord.wait_for(lambda: discord.gateway.num_identifies == identifies + 1, timeout_s=60)
    await _is_alive(discord, people)


@pytest.mark.parametrize("code", [1000, 4000, 4007, 4009, 4011, 4012])
async def test_no_close_code_but_those_of_token_and_intents_is_final(
    discord: Sandbox, people: People, bot: LivingBot, code: int
) -> None:
    async with kept_connected(bot) as kept:
        await kept.is_alive(people)
        before = discord.gateway.num_connections
        await discord.faults.close_gateway(code)
        await discord.wait_for(lambda: discord.gateway.num_connections > before, timeout_s=60)
        await kept.is_alive(people)


async def test_every_connection_waits_its_turn(discord: Sandbox, people: People, bot: LivingBot) -> None:
    """discord.py would resume without any pause for as long as Discord closes the connection."""
    waits: list[str] = []

    class Recording(Pacing):
        async def wait_to_connect(self, shard_id: int) -> None:
            waits.append("connect")

        async def wait_to_identify(self, shard_id: int) -> None:
            waits.append("identify")

    bot.client.pacing = Recording()
    refusal = discord.faults.refuse_gateway(4000, times=3)
    await discord.faults.close_gateway(4000)
    await discord.wait_for(lambda: refusal.num_met == 3, timeout_s=60)
    await _is_alive(discord, people)
    assert waits[:3] == ["connect", "connect", "identify"], "what breaks before it is resumed is not resumed again"
    assert waits.count("connect") == discord.gateway.num_connections - 1


@pytest.mark.parametrize("code", [4004, 4013, 4014])
async def test_a_refused_token_or_intent_is_final(discord: Sandbox, bot: LivingBot, code: int) -> None:
    discord.faults.refuse_gateway(code)
    async with kept_connected(bot) as kept:
        with pytest.raises(ConfigurationError, match=r"Discord refuses the (token|intents)\. \w+"):
            await asyncio.wait_for(asyncio.shield(kept.keeping), 60)


async def test_a_token_that_login_refuses_is_final(discord: Sandbox, bot: LivingBot) -> None:
    await bot.client.close()
    with pytest.raises(ConfigurationError, match="Copy it again"):
        await keep_connected(bot.services, "no.to.ken", url=discord.url)


@pytest.mark.parametrize(
    ("path", "status", "page"),
    [
        ("/users/@me", 200, "<html>Sign in</html>"),
        ("/users/@me", 403, "<html>"),
        ("/oauth2/applications/@me", 200, "<html>"),
        ("/gateway/bot", 200, "<html>"),
        ("/applications/*", 404, None),
    ],
)
async def test_a_login_answered_oddly_is_tried_again(
    discord: Sandbox, people: People, bot: LivingBot, path: str, status: int, page: str | None
) -> None:
    fault = discord.faults.fail(path, status=status, page=page)
    async with kept_connected(bot) as kept:
        await discord.wait_for(lambda: fault.num_met, timeout_s=60)
        await kept.is_alive(people)


async def test_a_start_that_fails_on_our_side_is_tried_again(
    discord: Sandbox, people: People, bot: LivingBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetch_due, failed = bot.services.deliveries.fetch_due, asyncio.Event()

    async def fail_once() -> Any:
        if failed.is_set():
            return await fetch_due()
        failed.set()
        raise KeyError("a slip of ours")

    monkeypatch.setattr(bot.services.deliveries, "fetch_due", fail_once)
    async with kept_connected(bot) as kept:
        await asyncio.wait_for(failed.wait(), 60)
        await kept.is_alive(people)
