"""Injected faults, and how discord.py handles them; and the OpenAPI validator, which must find mistakes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import aiohttp
import discord as dpy
import pytest
from raw_bot import RawBot, raw_bot
from sample_bot import SampleBot, png, running

from discord_sandbox import Channel, Permission, Sandbox, Upload


@pytest.fixture
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox() as server:
        yield server


@pytest.fixture
async def bot(server: Sandbox) -> AsyncIterator[RawBot]:
    async with raw_bot(server) as bot:
        yield bot


@pytest.fixture
def channel(server: Sandbox) -> Channel:
    return server.add_guild("Guild").add_channel("general")


@pytest.mark.parametrize("is_global", [False, True])
async def test_a_429_is_retried_and_the_message_sent_once(
    server: Sandbox, channel: Channel, is_global: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(server) as bot:
        path = "/channels/*/messages"
        fault = server.faults.rate_limit(path, times=2, retry_after_s=0.01, is_global=is_global)
        await bot.get_channel(channel.id).send("x")
        assert fault.num_met == 2 and [m.content for m in channel.messages] == ["x"]
        assert ("Global rate limit has been hit" in caplog.text) == is_global


async def test_a_dropped_answer_leaves_the_message_written(server: Sandbox, channel: Channel) -> None:
    async with running(server) as bot:
        server.faults.drop_answer("/channels/*/messages")
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await bot.get_channel(channel.id).send("x", nonce="1")
        await bot.get_channel(channel.id).send("x", nonce="1")
        assert len(channel.messages) == 1, "the nonce found the message whose answer was lost"


@pytest.mark.parametrize(("performed", "num_messages"), [(False, 0), (True, 1)])
async def test_a_5xx_before_or_after_the_work(
    server: Sandbox, bot: RawBot, channel: Channel, performed: bool, num_messages: int
) -> None:
    server.faults.fail("/channels/*", status=502, performed=performed)
    status, answer = await bot.call("POST", f"/channels/{channel.id}/messages", {"content": "x"})
    assert (status, answer["message"]) == (502, "502: Bad Gateway") and len(channel.messages) == num_messages
    assert (await bot.call("GET", f"/channels/{channel.id}"))[0] == 200


async def test_a_page_of_a_proxy_in_between(server: Sandbox, bot: RawBot) -> None:
    server.faults.fail("/users/@me", status=200, page="<html>")
    headers = {"Authorization": f"Bot {server.token}"}
    async with bot.session.get(f"{server.api_base}/users/@me", headers=headers) as answer:
        assert (answer.status, answer.content_type, await answer.text()) == (200, "text/html", "<html>")


async def test_a_503_reaches_the_bot_as_discord_py_s_error(server: Sandbox, channel: Channel) -> None:
    async with running(server) as bot:
        server.faults.fail("/channels/*", status=503)
        with pytest.raises(dpy.DiscordServerError):
            await bot.get_channel(channel.id).send("x")
        await bot.get_channel(channel.id).send("y")
        assert [m.content for m in channel.messages] == ["y"]


async def test_a_request_dropped_before_the_work_leaves_nothing(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    server.faults.drop_answer("/channels/*", performed=False)
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await bot.call("POST", f"/channels/{channel.id}/messages", {"content": "x"})
    assert not channel.messages and server.journal.calls[-1].fault == "answer dropped"


async def test_a_late_answer_waits_and_only_where_it_should(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    server.faults.delay("/channels/*", method="POST", wait_s=0.2)
    path = f"/channels/{channel.id}/messages"
    await bot.call("GET", path)
    await bot.call("POST", path, {"content": "x"})
    await bot.call("POST", path, {"content": "y"})
    quick, slow, after = server.journal.calls[-3:]
    assert slow.ms > 200 > max(quick.ms, after.ms) and slow.fault == "delayed" and slow.status == 200


async def test_faults_end_when_they_are_cleared(server: Sandbox, bot: RawBot) -> None:
    server.faults.fail(times=100)
    server.faults.drop_answer("/gateway", times=100)
    assert (await bot.call("GET", "/gateway"))[0] == 503
    server.faults.clear()
    assert (await bot.call("GET", "/gateway"))[0] == 200 and not server.faults.active


async def test_repeating_an_answer_that_was_lost_is_no_fault(server: Sandbox, channel: Channel) -> None:
    ada = server.act_as(channel.guild.add_member("ada"), channel)
    async with running(server):
        server.faults.drop_answer("/interactions/*/callback")
        reply = await ada.slash("whisper", text="x")
        assert reply.ephemeral and reply.original_message.content == "x" and not server.violations


async def test_an_answer_that_met_a_503_may_come_twice(server: Sandbox, channel: Channel) -> None:
    """discord.py sends an interaction's answer again after a second; the first had been taken."""
    ada = server.act_as(channel.guild.add_member("ada"), channel)
    async with running(server):
        server.faults.fail("/interactions/*/callback", performed=True)
        reply = await ada.slash("whisper", text="x")
        assert reply.original_message.content == "x"
        await server.wait_for(lambda: [call.code for call in server.journal.calls if call.code == 40060])
        assert not server.violations


async def test_an_answer_that_came_too_late_because_of_a_503_is_no_fault() -> None:
    async with Sandbox(ack_deadline_s=0.2) as server:
        guild = server.add_guild("Guild")
        ada = server.act_as(guild.add_member("ada"), guild.add_channel("x"))
        async with running(server):
            server.faults.fail("/interactions/*/callback")
            assert (await ada.slash("whisper", text="x")).failed
            await server.wait_for(lambda: [call.code for call in server.journal.calls if call.code == 10062])
            assert not server.violations


async def test_strict_rate_limits_refuse_the_sixth(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    server.rate_limits.is_strict = True
    path = f"/channels/{channel.id}/messages"
    statuses = [(await bot.call("POST", path, {"content": "x"}))[0] for _ in range(6)]
    assert statuses == [200] * 5 + [429]


async def test_every_answer_carries_rate_limit_headers(server: Sandbox, bot: RawBot) -> None:
    async with bot.session.get(server.api_base + "/gateway") as answer:
        wanted = {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset-After", "X-RateLimit-Bucket"}
        assert wanted <= set(answer.headers) and answer.headers["Content-Type"] == "application/json"


async def test_a_silent_bot_fails_after_the_deadline() -> None:
    async with Sandbox(ack_deadline_s=0.2) as server:
        guild = server.add_guild("Guild")
        ada = server.act_as(guild.add_member("ada"), guild.add_channel("x"))
        async with running(server) as bot:
            reply = await ada.slash("silent")
            assert reply.failed and reply.original_message is None
            bot.release.set()


async def test_waiting_says_what_happened_last(server: Sandbox, bot: RawBot) -> None:
    await bot.call("GET", "/gateway")
    with pytest.raises(TimeoutError, match="GET /gateway -> 200"):
        await server.wait_for(lambda: False, timeout_s=0.01)


@pytest.mark.parametrize(("named", "openapi", "is_said"), [("", None, True), ("/of/the/environment.json", "", False)])
async def test_no_description_is_said_unless_none_was_wanted(
    named: str, openapi: str | None, is_said: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DISCORD_OPENAPI", named)
    with caplog.at_level(logging.WARNING):
        async with Sandbox(openapi=openapi) as server, raw_bot(server) as bot:
            await bot.call("GET", "/gateway")
    assert server.num_validated == 0 and ("NOTHING WAS VALIDATED" in caplog.text) is is_said


needs_description = pytest.mark.skipif(
    "not __import__('os').environ.get('DISCORD_OPENAPI')", reason="DISCORD_OPENAPI names no description"
)


@needs_description
async def test_the_validator_passes_good_messages_and_names_typos(
    server: Sandbox, bot: RawBot, channel: Channel
) -> None:
    path = f"/channels/{channel.id}/messages"
    await bot.call("POST", path, {"content": "x", "embeds": [{"title": "t"}]})
    assert server.violations == [] and server.num_validated == 2
    await bot.call("POST", path, {"content": "x", "embeds": [{"title": "t", "colour": 1}]})
    (violation,) = server.violations
    assert violation.source == "openapi" and violation.side == "request" and "'colour'" in violation.detail


@needs_description
async def test_the_validator_sees_the_sandbox_s_own_mistakes(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    channel.topic = 7  # type: ignore[assignment]
    await bot.call("GET", f"/channels/{channel.id}")
    assert [v.side for v in server.violations] == ["response"]


@needs_description
async def test_every_route_answers_as_described(server: Sandbox, channel: Channel) -> None:
    """Every route the sandbox has, once, through discord.py where it has a call for it."""
    guild = channel.guild
    ada = guild.add_member("ada")
    guild.everyone.permissions |= 1 << 13 | 1 << 28 | 1 << 4
    async with running(server) as bot:
        place = bot.get_channel(channel.id)
        sent = await place.send("x", embed=dpy.Embed(title="t", timestamp=dpy.utils.utcnow()))
        answer = await sent.reply("re")
        await sent.edit(content="y", suppress=True)
        await sent.add_reaction("👍")
        fetched = await place.fetch_message(sent.id)
        assert fetched.reactions[0].me
        await sent.remove_reaction("👍", bot.user)
        await sent.pin()
        await sent.unpin()
        assert [m.id async for m in place.history()] == [answer.id, sent.id]
        async with place.typing():
            pass
        thread = await place.create_thread(name="t", type=dpy.ChannelType.public_thread)
        await thread.send("in thread")
        await answer.delete()
        found = await bot.fetch_guild(guild.id)
        await found.fetch_channels()
        await found.fetch_roles()
        member = await found.fetch_member(ada.id)
        role = guild.add_role("painter")
        await member.add_roles(dpy.Object(role.id))
        assert role in ada.roles
        await member.remove_roles(dpy.Object(role.id))
        assert [g.id async for g in bot.fetch_guilds()] == [guild.id]
        await (await bot.fetch_user(ada.id)).send("direct")
        await bot.tree.fetch_commands()
        await bot.tree.sync(guild=dpy.Object(guild.id))
        await bot.fetch_application_emojis()
        await bot.application_info()
        await place.delete()
    assert server.violations == []
    assert server.num_validated > 30


async def test_a_file_may_be_lost_before_it_is_read(server: Sandbox, bot: RawBot, channel: Channel) -> None:
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("files[0]", b"x", filename="a.bin")
    _, message = await bot.call("POST", f"/channels/{channel.id}/messages", data=form)
    server.faults.lose_files()
    async with bot.session.get(message["attachments"][0]["url"]) as answer:
        assert answer.status == 404


async def test_discord_py_cannot_read_a_lost_file(server: Sandbox, channel: Channel) -> None:
    intents = dpy.Intents(guilds=True, messages=True, message_content=True)
    ada = server.act_as(channel.guild.add_member("ada"), channel)
    async with running(server, SampleBot(intents=intents)) as bot:
        said = ada.say("look", files=[Upload("a.png", png())])
        found = await bot.get_channel(channel.id).fetch_message(said.id)
        assert await found.attachments[0].read() == png()
        server.faults.lose_files()
        with pytest.raises(dpy.NotFound):
            await found.attachments[0].read()


async def test_rights_and_places_go_and_come_as_discord_py_sees_them(server: Sandbox, channel: Channel) -> None:
    guild = channel.guild
    gone = guild.add_channel("gone")
    async with running(server) as bot:
        place, other = bot.get_channel(channel.id), bot.get_channel(gone.id)
        server.faults.take_permission(channel, Permission.SEND_MESSAGES)
        with pytest.raises(dpy.Forbidden):
            await place.send("x")
        assert not place.permissions_for(place.guild.me).send_messages
        server.faults.give_permission(channel, Permission.SEND_MESSAGES)
        await place.send("y")
        server.faults.take_permission(channel, Permission.VIEW_CHANNEL)
        assert (await bot.fetch_guild(guild.id)).id == guild.id
        assert not place.permissions_for(place.guild.me).view_channel, "it is told of what it may not see any more"
        server.faults.give_permission(channel, Permission.VIEW_CHANNEL)
        server.faults.delete_channel(gone)
        with pytest.raises(dpy.NotFound):
            await other.send("x")
        assert bot.get_channel(gone.id) is None
        server.faults.kick_bot(guild)
        with pytest.raises(dpy.Forbidden):
            await place.send("x")
        assert bot.get_guild(guild.id) is None
        server.add_bot(guild)
        await bot.fetch_guild(guild.id)
        assert bot.get_guild(guild.id) is not None
    assert [m.content for m in channel.messages] == ["y"] and not server.violations


async def test_the_clock_ends_a_token_under_discord_py_s_hands(server: Sandbox, channel: Channel) -> None:
    bot, refused = SampleBot(), []

    @bot.tree.command(description="Takes its time")
    async def late(interaction: dpy.Interaction) -> None:
        await interaction.response.defer()
        await bot.release.wait()
        try:
            await interaction.edit_original_response(content="late")
        except dpy.HTTPException as error:
            refused.append(error.code)

    ada = server.act_as(channel.guild.add_member("ada"), channel)
    async with running(server, bot):
        await ada.slash("late")
        server.clock.advance(15 * 60 + 1)
        bot.release.set()
        await server.wait_for(lambda: any(call.code == 50027 for call in server.journal.calls))
        assert (await ada.slash("whisper")).ephemeral, "a new token is a good one"
    assert refused == [50027] and not server.violations


async def test_refusals_that_lead_to_a_ban_are_counted(server: Sandbox, bot: RawBot) -> None:
    server.faults.rate_limit(times=1, retry_after_s=0.01)
    await bot.call("GET", "/gateway")
    await bot.call("GET", "/users/@me", headers={"Authorization": "Bot no"})
    await bot.call("GET", "/users/@me")
    assert server.journal.num_invalid == 2
