"""A working post holds a place, a post that waits for Discord does not. On a real connection to a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from cogs.common import posting_turns
from cogs.common.posting_turns import PostingTurns, build_trace_config
from generation.scheduling.delivery_turns import DeliveryTurns, Post


def post(number: int) -> Post:
    return Post(number, f"job{number}", guild_id=number, channel_id=number, is_limited_by_channel=True)


def one_place(*, max_stalled: int = 3) -> PostingTurns:
    return PostingTurns(DeliveryTurns(places=1, max_stalled=max_stalled))


@asynccontextmanager
async def discord_that_says(status: int, headers: dict[str, str]) -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, headers=headers)

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0]
    try:
        async with aiohttp.ClientSession(trace_configs=[build_trace_config()]) as session:
            yield session, f"http://{host}:{port}/"
    finally:
        await runner.cleanup()


async def another_gets_its_turn(places: PostingTurns) -> None:
    async with places.turn(post(9)):
        pass


@pytest.mark.parametrize(
    ("status", "headers"),
    [(429, {}), (503, {}), (200, {"X-RateLimit-Remaining": "0"})],
    ids=["limited", "error", "used up"],
)
async def test_a_rate_limited_post_frees_its_place(status: int, headers: dict[str, str]) -> None:
    places = one_place()
    async with discord_that_says(status, headers) as (session, url), places.turn(post(1)) as turn:
        async with session.post(url):
            pass
        turn.rest()  # no clock has a part in it
        await another_gets_its_turn(places)


async def test_an_answered_post_keeps_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it has not ended, and has not been told to wait."""
    places = one_place()
    async with discord_that_says(200, {"X-RateLimit-Remaining": "4"}) as (session, url):
        async with places.turn(post(1)) as turn:
            async with session.post(url):
                pass
            turn.rest()
            other = asyncio.create_task(another_gets_its_turn(places))
            async with session.post(url):  # long enough for the other, if there were a place
                turn.rest()
            assert not other.done()
        await other


async def test_silence_gives_the_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_turns, "PATIENCE_S", 0.01)
    places = one_place()
    async with places.turn(post(1)) as turn:
        turn.touch()
        await another_gets_its_turn(places)


async def test_the_longest_silent_post_is_given_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_turns, "SILENCE_S", 0.01)
    places = one_place(max_stalled=2)
    ended: list[int] = []

    async def wait_for_ever(number: int) -> None:
        try:
            async with places.turn(post(number)) as turn:
                turn.stall()
                await asyncio.Event().wait()
        finally:
            ended.append(number)

    tasks = [asyncio.create_task(wait_for_ever(number)) for number in range(4)]
    with pytest.raises(TimeoutError):
        await tasks[0]
    with pytest.raises(TimeoutError):
        await tasks[1]
    for task in tasks[2:]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert ended[:2] == [0, 1]
    assert places.num_at_work == 0


async def test_a_post_that_waits_for_a_global_limit_is_not_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py lets every request wait for that one; cancelled, it would never let them go."""
    places = one_place(max_stalled=1)
    async with discord_that_says(429, {"X-RateLimit-Global": "true"}) as (session, url), places.turn(post(1)) as turn:
        turn.give_up()  # before it is known, and after
        async with session.post(url):
            pass
        monkeypatch.setattr(posting_turns, "SILENCE_S", 0.0)
        turn.give_up()
        async with session.post(url):  # any time at all would do
            pass
    with pytest.raises(TimeoutError):  # the control: another is
        async with places.turn(post(2)) as turn:
            turn.stall()
            await asyncio.Event().wait()


async def test_a_request_that_outlives_its_turn_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting_turns, "PATIENCE_S", 0.0)
    places = one_place(max_stalled=1)
    async with places.turn(post(1)) as turn:
        pass
    turn.touch()
    async with places.turn(post(2)) as other:
        other.rest()
        waits = asyncio.create_task(another_gets_its_turn(places))
        await asyncio.sleep(0)
        assert turn._timer is None or turn._timer.cancelled()
        assert not waits.done()
    await waits


async def test_a_cancelled_waiting_post_leaves_nothing_behind() -> None:
    places = one_place()
    async with places.turn(post(1)):
        waits = asyncio.create_task(another_gets_its_turn(places))
        await asyncio.sleep(0)
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        assert places.is_idle(9)
    await another_gets_its_turn(places)
    assert places.num_at_work == 0
