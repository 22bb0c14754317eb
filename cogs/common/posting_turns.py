"""Gives every due post its turn, and takes its place back while it waits for Discord. Who is next: `delivery_turns`.

discord.py waits inside a request: for the rate limit of a channel, after a 429 or an error, for an answer. From outside
that looks like work. So every request reports here, by aiohttp's own signals, when it moves something and when it is
told to wait, and a post of which nothing is heard for a while counts as waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import SimpleNamespace

import aiohttp
from yarl import URL

from generation import metrics
from generation.scheduling.delivery_turns import DeliveryTurns, Post

PATIENCE_S = 1.0
"""After so long with no request under way, discord.py is waiting for a limit."""
WIRE_PATIENCE_S = 5.0
"""So long a request may be silent: the system takes what is uploaded, and says nothing of how it gets on."""
SILENCE_S = 30.0
"""One that is to be given up has been silent for so long: Discord may still answer."""
_TURN: ContextVar[Turn | None] = ContextVar("turn", default=None)


class PostingTurns:
    """The places that posts take in turns. One for each client, in one event loop."""

    def __init__(self, turns: DeliveryTurns | None = None) -> None:
        self._turns = turns or DeliveryTurns()
        self._called: dict[Post, asyncio.Future[None]] = {}
        self._going: dict[Post, Turn] = {}

    @property
    def num_at_work(self) -> int:
        """Posts that have had their turn and have not ended, the stalled among them."""
        return len(self._going)

    @asynccontextmanager
    async def turn(self, post: Post) -> AsyncIterator[Turn]:
        """Wait for the turn of a post, and hold its place. Raise `TimeoutError` inside if it is to be given up."""
        called = self._called[post] = asyncio.get_running_loop().create_future()
        self._turns.push(post)
        self._call()
        try:
            await called
            async with asyncio.timeout(None) as scope:
                turn = self._going[post] = Turn(self, post, scope)
                marked = _TURN.set(turn)
                turn.touch()
                try:
                    yield turn
                finally:
                    turn.end()
                    _TURN.reset(marked)
        finally:
            self._called.pop(post, None)
            self._going.pop(post, None)
            self._turns.end(post)
            self._call()

    def is_idle(self, channel_id: int) -> bool:
        """Return whether no post needs the rate limit of a channel."""
        return self._turns.is_idle(channel_id)

    def stall(self, post: Post) -> None:
        """Give a post's place to the next. If too many wait for Discord, give up the one that is silent longest."""
        silent = self._going.get(given_up) if (given_up := self._turns.stall(post)) else None
        if silent is not None:
            silent.give_up()
        self._call()

    def touch(self, post: Post) -> None:
        self._turns.touch(post)

    def _call(self) -> None:
        while (post := self._turns.start()) is not None:
            called = self._called[post]
            if not called.done():  # cancelled in this moment: its task ends it
                called.set_result(None)


@dataclass(slots=True)
class Turn:
    """A post that has its turn."""

    _places: PostingTurns
    _post: Post
    _scope: asyncio.Timeout
    _timer: asyncio.TimerHandle | None = None
    _due_s: float | None = None
    """When it counts as stalled, by the clock of the loop; None while no one looks at the clock."""
    _heard_s: float = 0.0
    _is_over: bool = False
    _holds_all: bool = False
    """Whether discord.py lets every request wait until this one has slept off a global limit. Cancelled before that,
    it would never let them go."""

    def touch(self, *, patience_s: float | None = None) -> None:
        """Note a sign of life. Without another within `patience_s` (else `PATIENCE_S`) it is stalled."""
        if self._is_over:
            return
        loop = asyncio.get_running_loop()
        self._heard_s = loop.time()
        self._due_s = self._heard_s + (PATIENCE_S if patience_s is None else patience_s)
        if self._timer is None or self._timer.when() > self._due_s:
            self._set_timer(loop)
        if self._scope.when() is not None:
            self._scope.reschedule(self._heard_s + SILENCE_S)
        self._places.touch(self._post)

    def rest(self) -> None:
        """Stop looking at the clock: what comes now is our own work. `touch` starts it."""
        self._due_s = None

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if self._due_s is None else loop.call_at(self._due_s, self._look)

    def _look(self) -> None:
        """Stall if it is due. One timer serves many signs of life, each of which only moves the time."""
        loop = asyncio.get_running_loop()
        self._timer = None
        if self._due_s is not None and self._due_s <= loop.time():
            self.stall()
        else:
            self._set_timer(loop)

    def end(self) -> None:
        """Listen no longer: what is still being sent of a request that was cut off says nothing."""
        self.rest()
        self._set_timer(asyncio.get_running_loop())
        self._is_over = True

    def stall(self) -> None:
        """Note that it waits for Discord."""
        self.rest()
        self._places.stall(self._post)

    def answered(self, response: aiohttp.ClientResponse) -> None:
        """Note an answer. After errors of Discord's, and when a limit is used up, discord.py waits."""
        if self._is_over:
            return
        self.touch()
        self._holds_all = "X-RateLimit-Global" in response.headers
        if self._holds_all:
            self._scope.reschedule(None)
        if response.status == 429 or response.status >= 500 or response.headers.get("X-RateLimit-Remaining") == "0":
            self.stall()

    def give_up(self) -> None:
        """Raise `TimeoutError` in it when it has been silent for `SILENCE_S`, unless others would never go on then."""
        if not self._holds_all:
            self._scope.reschedule(self._heard_s + SILENCE_S)


def build_trace_config() -> aiohttp.TraceConfig:
    """Return what the client's connections need, to report to the turn that a request belongs to, and be counted."""
    config = aiohttp.TraceConfig()
    config.on_request_start.append(_on_start)
    config.on_request_chunk_sent.append(_on_progress)
    config.on_response_chunk_received.append(_on_progress)
    config.on_request_end.append(_on_answer)
    config.on_request_exception.append(_on_no_answer)
    return config


async def _on_start(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
    context.began_s = time.perf_counter()
    if (turn := _TURN.get()) is not None:
        turn.touch(patience_s=WIRE_PATIENCE_S)


async def _on_progress(session: aiohttp.ClientSession, context: SimpleNamespace, params: object) -> None:
    if (turn := _TURN.get()) is not None:
        turn.touch(patience_s=WIRE_PATIENCE_S)


async def _on_answer(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
) -> None:
    if (turn := _TURN.get()) is not None:
        turn.answered(params.response)
    response = params.response
    _count(params.url, context, response.status, scope=response.headers.get("X-RateLimit-Scope"))


async def _on_no_answer(
    session: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
) -> None:
    _count(params.url, context, None)


def _count(url: URL, context: SimpleNamespace, status: int | None, *, scope: str | None = None) -> None:
    """Count a request to Discord's API; files come from elsewhere."""
    if url.path.startswith("/api/"):
        metrics.count_answer(status, time.perf_counter() - context.began_s, scope=scope)
