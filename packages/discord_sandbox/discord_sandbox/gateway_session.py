"""One websocket of a bot, and the session that outlives it.

Source: https://discord.com/developers/docs/events/gateway
"""

from __future__ import annotations

import asyncio
import secrets
import zlib
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any, Protocol

from aiohttp import web

from discord_sandbox.json_types import Json
from discord_sandbox.presence import PresenceLimit
from discord_sandbox.snowflake import compute_shard

MAX_SENDS, SENDS_WINDOW_S = 120, 60.0
REPLAY_LENGTH = 5000


class Compressor(Protocol):
    """One transport compression, shared by every payload of a connection."""

    def __call__(self, payload: bytes) -> bytes: ...


def open_compression(name: str | None) -> Compressor | None:
    """Return the compression that a bot asks for with `compress`; None for none. Raise 400 if it is not to be had."""
    if name == "zlib-stream":
        return _open_zlib_stream()
    if name != "zstd-stream":
        return None
    if (compress := _open_zstd_stream()) is None:
        raise web.HTTPBadRequest(text="zstd-stream needs the package zstandard here; use zlib-stream")
    return compress


def _open_zlib_stream() -> Compressor:
    """Return a compressor for `compress=zlib-stream`: one context, flushed after each payload."""
    context = zlib.compressobj()
    return lambda payload: context.compress(payload) + context.flush(zlib.Z_SYNC_FLUSH)


def _open_zstd_stream() -> Compressor | None:
    """Return a compressor for `compress=zstd-stream`; None without Python 3.14 or the package `zstandard`."""
    with suppress(ImportError):
        compressor: Any = import_module("compression.zstd").ZstdCompressor()
        return lambda payload: bytes(compressor.compress(payload, mode=compressor.FLUSH_BLOCK))
    with suppress(ImportError):
        zstandard = import_module("zstandard")
        context: Any = zstandard.ZstdCompressor().compressobj()
        flush_block = zstandard.COMPRESSOBJ_FLUSH_BLOCK
        return lambda payload: bytes(context.compress(payload)) + bytes(context.flush(flush_block))
    return None


class Session:
    """What Discord remembers of a bot's connection, also while it is away: enough to resume."""

    def __init__(self, shard: tuple[int, int], intents: int) -> None:
        self.id = secrets.token_hex(16)
        self.shard = shard
        self.intents = intents
        self.seq = 0
        self.sent: deque[tuple[int, str | bytes]] = deque(maxlen=REPLAY_LENGTH)
        self.connection: Connection | None = None

    def covers(self, guild_id: int | None) -> bool:
        return compute_shard(guild_id, self.shard[1]) == self.shard[0]


PerSession = Callable[[Session], Json]


class Connection:
    """One websocket of the bot's."""

    def __init__(self, socket: web.WebSocketResponse, compress: Compressor | None) -> None:
        self.socket = socket
        self.session: Session | None = None
        self.presences = PresenceLimit()
        self._compress = compress
        self._outbox: asyncio.Queue[str | bytes | int | None] = asyncio.Queue()
        self._sends: deque[float] = deque(maxlen=MAX_SENDS)
        self.last_heard_s = asyncio.get_running_loop().time()

    def push(self, payload: str | bytes) -> None:
        """Queue a payload; the order of pushes is the order on the wire. `bytes` go out as they are, uncompressed."""
        self._outbox.put_nowait(payload)

    async def write(self) -> None:
        """Send what is queued until the end. A socket that is gone ends it silently: the reader notices."""
        while (payload := await self._outbox.get()) is not None:
            try:
                if isinstance(payload, int):
                    await self.socket.close(code=payload)
                    return
                if isinstance(payload, bytes):
                    await self.socket.send_bytes(payload)
                elif self._compress is None:
                    await self.socket.send_str(payload)
                else:
                    await self.socket.send_bytes(self._compress(payload.encode()))
            except ConnectionError:
                return

    def push_end(self, code: int) -> None:
        """Queue the end of the connection, with its close code."""
        self._outbox.put_nowait(code)

    def stop(self) -> None:
        self._outbox.put_nowait(None)

    async def close(self, code: int) -> None:
        await self.socket.close(code=code)

    def is_flooding(self) -> bool:
        """Count one payload of the bot's; true beyond 120 in 60 s."""
        now = asyncio.get_running_loop().time()
        full = len(self._sends) == MAX_SENDS and now - self._sends[0] < SENDS_WINDOW_S
        self._sends.append(now)
        self.last_heard_s = now
        return full
