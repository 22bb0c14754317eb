"""discord.py's gateway connection, made to outlive what it cannot parse.

In discord.py an exception while an event is parsed ends the whole client. Here such an event is logged, by name only,
and skipped. Where the connection itself cannot go on, it is opened again: by RESUME, but by a fresh IDENTIFY if it
broke before its session had started or was resumed, because Discord replays the same events on every RESUME.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from typing import Annotated, Any

import aiohttp
import discord.shard
import msgspec
from discord.gateway import DiscordWebSocket, ReconnectWebSocket, WebSocketClosure

from generation import metrics

log = logging.getLogger(__name__)
_STARTS = frozenset({"READY", "RESUMED"})
_HANDLED = (
    ReconnectWebSocket,
    WebSocketClosure,
    discord.ConnectionClosed,
    aiohttp.ClientError,
    OSError,
    asyncio.CancelledError,
)
"""Errors that discord.py itself answers by connecting again. (A TimeoutError is an OSError.)"""


class _Hello(msgspec.Struct):
    heartbeat_interval: Annotated[float, msgspec.Meta(ge=1000, le=600_000)]
    """Milliseconds. One of 0 would make discord.py's heartbeat a hot loop."""


class _Envelope(msgspec.Struct):
    """A payload without its contents: `op` code, `t` name of the event, `s` its number."""

    op: int | None = None
    t: str | None = None
    s: int | None = None


class Gateway(DiscordWebSocket):
    """One connection of one shard. `install` makes discord.py use it."""

    _envelope: _Envelope | None = None
    """Of the payload at hand; None while it is not yet readable."""
    _is_started = False
    """Whether READY or RESUMED came: only then is it worth resuming."""

    @classmethod
    async def from_client(cls, client: Any, **options: Any) -> Any:
        """Connect, when it is time to. Clients without a `pacing` (other bots in this process) connect at once."""
        if (pacing := getattr(client, "pacing", None)) is not None:
            await pacing.wait_to_connect(options.get("shard_id") or 0)
        return await super().from_client(client, **options)

    async def poll_event(self) -> None:
        try:
            await super().poll_event()
        except ReconnectWebSocket as lost:
            raise ReconnectWebSocket(self.shard_id, resume=lost.resume and self._is_started) from None

    async def send_heartbeat(self, data: Any) -> None:
        """Note the time first: discord.py's thread notes it afterwards, and a near server may have answered by then.

        The answer would be measured from the heartbeat before, and be called 41 s late.
        """
        if self._keep_alive is not None:
            self._keep_alive._last_send = time.perf_counter()
        await super().send_heartbeat(data)

    async def received_message(self, msg: Any, /) -> None:
        self._envelope = None
        try:
            await super().received_message(msg)
        except _HANDLED:
            raise
        except Exception as error:
            await self._skip(error)
        if getattr(self._envelope, "op", None) == self.HEARTBEAT_ACK:
            metrics.HEARTBEAT.labels(self.shard_id or 0).set(self.latency)
        self._is_started = self._is_started or self._event_name() in _STARTS

    def log_receive(self, frame: Any, /) -> None:
        """discord.py calls this with the text of each payload before it looks into it."""
        self._envelope = _Envelope()
        self._envelope = _read(frame)
        if self._envelope.op == self.HELLO:
            msgspec.convert(json.loads(frame)["d"], _Hello, strict=True)

    def _event_name(self) -> str | None:
        return self._envelope.t if self._envelope is not None else None

    async def _skip(self, error: Exception) -> None:
        """Go on with the next payload, or connect again where there can be none."""
        is_readable = self._envelope is not None
        envelope = self._envelope or _Envelope()
        name = envelope.t if envelope.t in self._discord_parsers else f"op {envelope.op}"
        must_reconnect = not is_readable or name in _STARTS or envelope.op == self.HELLO
        log.warning(
            "shard=%s action=%s event=%s error=%s at=%s",
            self.shard_id,
            "gateway-broken" if must_reconnect else "gateway-event-skipped",
            name,
            type(error).__name__,
            traceback.extract_tb(error.__traceback__)[-1].name,
        )
        if must_reconnect:
            self._envelope = None
            await self.close()
            raise ReconnectWebSocket(self.shard_id)


def install() -> None:
    """Make discord.py's sharded clients connect by `Gateway`. Doing so twice changes nothing."""
    discord.shard.DiscordWebSocket = Gateway  # type: ignore[misc]


def _read(frame: str) -> _Envelope:
    """Return the envelope of a payload. Raise for one that would spoil the connection's own state."""
    try:
        return msgspec.json.decode(frame, type=_Envelope)  # passes over the contents, which may be large
    except (msgspec.DecodeError, UnicodeError):
        return msgspec.convert(json.loads(frame), _Envelope)  # takes what discord.py takes: lone surrogates, NaN
