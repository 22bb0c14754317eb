"""The gateway: a bot's websocket, from HELLO to RESUME, shard by shard.

Source: https://discord.com/developers/docs/events/gateway
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import WSMsgType, web

from discord_sandbox import gateway_codes as codes
from discord_sandbox.gateway_faults import HELLO_NAME, GatewayFaults
from discord_sandbox.gateway_session import (
    MAX_SENDS,
    SENDS_WINDOW_S,
    Connection,
    PerSession,
    Session,
    open_compression,
)
from discord_sandbox.guilds import Guild
from discord_sandbox.identify_rules import find_identify_refusal
from discord_sandbox.intents import GUILD_MEMBERS, GUILDS, hears
from discord_sandbox.journal import GatewayEvent, Journal, Violation
from discord_sandbox.json_types import Json
from discord_sandbox.members_chunk import serialize_members_chunk
from discord_sandbox.payloads import serialize_guild_create, serialize_ready
from discord_sandbox.presence import describe_presence, take_presence
from discord_sandbox.session_starts import MAX_GUILDS_A_SHARD, SessionStarts, Start, reset_token
from discord_sandbox.world import World

HEARTBEAT_INTERVAL_S = 41.25
MAX_SENT_BYTES = 4096


class Gateway:
    """All sessions. `dispatch` sends an event to every session that should hear it."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world = world
        self._journal = journal
        self._sessions: dict[str, Session] = {}
        self.url = ""
        self.num_identifies = self.num_connections = 0
        self.faults = GatewayFaults()
        self.session_starts = SessionStarts(world.clock.now)
        self.heartbeat_interval_s = HEARTBEAT_INTERVAL_S

    @property
    def is_connected(self) -> bool:
        """Whether a bot is here now, identified."""
        return any(session.connection is not None for session in self._sessions.values())

    @property
    def connections(self) -> list[Connection]:
        return [s.connection for s in self._sessions.values() if s.connection is not None]

    # -- events to the bot ---------------------------------------------------------------------------

    def dispatch(self, event: str, data: Json | PerSession, guild_id: int | None) -> bool:
        """Send an event to the sessions of the right shard and intents; those away get it when they resume.

        `data` may be a function of the session, where what is told depends on what it may read.
        Return whether a connected session heard it at once.
        """
        is_heard = False
        for session in list(self._sessions.values()):
            is_in = hears(session.intents, event, in_guild=guild_id is not None)
            if session.covers(guild_id) and is_in:
                self.send(session, event, data(session) if callable(data) else data)
                is_heard = is_heard or session.connection is not None
        return is_heard

    def send(self, session: Session, event: str, data: Json) -> None:
        """Send one event to one session, numbered."""
        session.seq += 1
        data = self.faults.apply_alteration(event, data)
        payload = json.dumps({"op": codes.DISPATCH, "d": data, "s": session.seq, "t": event}, separators=(",", ":"))
        session.sent.append((session.seq, payload))
        self._note(session.id, codes.DISPATCH, event, data, is_sent=True)
        if session.connection is not None:
            session.connection.push(payload)

    def _send_control(self, connection: Connection, op: int, data: Any = None) -> None:
        session_id = connection.session.id if connection.session else ""
        data = self.faults.apply_alteration(HELLO_NAME, data) if op == codes.HELLO else data
        self._note(session_id, op, None, data, is_sent=True)
        connection.push(json.dumps({"op": op, "d": data, "s": None, "t": None}, separators=(",", ":")))

    # -- faults on request ---------------------------------------------------------------------------

    async def close_all(self, code: int, *, shard: int | None = None) -> None:
        """Close the bot's connections with a close code; sessions stay resumable unless the code forbids it."""
        for connection in self.connections:
            session = connection.session
            if session is not None and shard in (None, session.shard[0]):
                if code in codes.ENDS_THE_SESSION:
                    self._sessions.pop(session.id, None)
                await connection.close(code)

    def send_to_all(self, event: str, data: Any) -> None:
        """Send an event to every session, whatever its intents; those away get it when they resume."""
        for session in list(self._sessions.values()):
            self.send(session, event, data)

    def send_frame(self, frame: str | bytes, *, is_replayed: bool) -> None:
        """Send a frame as it is, `bytes` uncompressed. If it is replayed, it takes a number of the session's."""
        for session in list(self._sessions.values()):
            if is_replayed:
                session.seq += 1
                session.sent.append((session.seq, frame))
            if session.connection is not None:
                session.connection.push(frame)

    def ask_to_reconnect(self) -> None:
        """Send op 7 to every connection."""
        for connection in self.connections:
            self._send_control(connection, codes.RECONNECT)

    def invalidate(self, *, is_resumable: bool = False, shard: int | None = None) -> None:
        """Send op 9 to every connection, or to that of one shard; a session that is not resumable is forgotten."""
        for connection in self.connections:
            if connection.session is not None and shard in (None, connection.session.shard[0]):
                self._send_control(connection, codes.INVALID_SESSION, is_resumable)
                if not is_resumable:
                    self._sessions.pop(connection.session.id, None)

    # -- a connection's life -------------------------------------------------------------------------

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one websocket of the bot."""
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        compress = open_compression(request.query.get("compress"))
        await socket.prepare(request)
        connection = Connection(socket, compress)
        self.num_connections += 1
        if request.query.get("v", "10") != "10" or request.query.get("encoding", "json") != "json":
            await socket.close(code=codes.INVALID_VERSION)
            return socket
        writer = asyncio.create_task(connection.write())
        watch = asyncio.create_task(self._watch(connection))
        try:
            await self._talk(connection)
        finally:
            watch.cancel()
            connection.stop()
            self._detach(connection)
            await writer
        return socket

    async def _talk(self, connection: Connection) -> None:
        self._send_control(connection, codes.HELLO, {"heartbeat_interval": int(self.heartbeat_interval_s * 1000)})
        async for frame in connection.socket:
            if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                continue
            code = self._receive(connection, frame.data)
            if code is not None:
                await connection.close(code)
                return

    async def _watch(self, connection: Connection) -> None:
        """Close a connection whose heartbeat stopped."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.heartbeat_interval_s)
            if loop.time() - connection.last_heard_s > self.heartbeat_interval_s * 1.5:
                await connection.close(codes.SESSION_TIMED_OUT)

    def _detach(self, connection: Connection) -> None:
        session = connection.session
        if session is not None and session.connection is connection:
            session.connection = None
            self._world.publish("bot_status")

    def _receive(self, connection: Connection, frame: str | bytes) -> int | None:
        """Handle one payload of the bot. Return the code to close with, or None."""
        if len(frame) > MAX_SENT_BYTES:
            self._blame(f"a payload of {len(frame)} bytes; at most {MAX_SENT_BYTES}")
            return codes.DECODE_ERROR
        if connection.is_flooding():
            self._blame(f"more than {MAX_SENDS} payloads in {SENDS_WINDOW_S:.0f} s")
            return codes.RATE_LIMITED
        try:
            payload = json.loads(frame)
            op, data = payload["op"], payload.get("d")
        except (ValueError, KeyError, TypeError):
            self._blame("a payload that is no JSON object with an op")
            return codes.DECODE_ERROR
        self._note(connection.session.id if connection.session else "", op, None, data, is_sent=False)
        if op == codes.HEARTBEAT:
            self._send_control(connection, codes.HEARTBEAT_ACK)
            return None
        if op in (codes.IDENTIFY, codes.RESUME):
            if connection.session is not None:
                return codes.ALREADY_AUTHENTICATED
            if (code := self.faults.take_refusal()) is not None:
                return code
            handle = self._handle_identify if op == codes.IDENTIFY else self._handle_resume
            return handle(connection, data)
        if connection.session is None:
            return codes.NOT_AUTHENTICATED
        if op == codes.REQUEST_MEMBERS:
            self._send_members(connection.session, data)
            return None
        if op == codes.PRESENCE:
            return take_presence(self._world, connection.presences, data, self._blame)
        return None if op == codes.VOICE else codes.UNKNOWN_OP

    # -- identify and resume -------------------------------------------------------------------------

    def _handle_identify(self, connection: Connection, data: Json) -> int | None:
        if (code := find_identify_refusal(self._world.application, data)) is not None:
            return code
        shard_id, num_shards = data.get("shard") or (0, 1)
        session = Session((shard_id, num_shards), data["intents"])
        if len(self._list_guilds(session)) > MAX_GUILDS_A_SHARD:
            return codes.SHARDING_REQUIRED
        self.num_identifies += 1
        match self.session_starts.count(shard_id):
            case Start.TOO_FAST:
                self._send_control(connection, codes.INVALID_SESSION, False)
                return None
            case Start.TOO_MANY:
                return self._end_everything()
        self._forget_shadows(session.shard)
        self._sessions[session.id] = session
        self._attach(connection, session)
        self._world.application.presence = describe_presence(data.get("presence")) or ""
        self._send_ready(session)
        self._world.publish("bot_status")
        return None

    def _end_everything(self) -> int:
        """End every session and reset the token, as Discord does to a bot that identifies too often in a day."""
        reset_token(self._world.application)
        for connection in self.connections:
            connection.push_end(codes.AUTH_FAILED)
        self._sessions.clear()
        return codes.AUTH_FAILED

    def _forget_shadows(self, shard: tuple[int, int]) -> None:
        """Drop sessions of this shard whose connection is gone: a fresh IDENTIFY replaces them."""
        for session in list(self._sessions.values()):
            if session.connection is None and session.shard == shard:
                del self._sessions[session.id]

    def _attach(self, connection: Connection, session: Session) -> None:
        session.connection = connection
        connection.session = session

    def _send_ready(self, session: Session) -> None:
        guilds = self._list_guilds(session)
        ready = serialize_ready(self._world, guilds, session_id=session.id, shard=session.shard, url=self.url)
        self.send(session, "READY", ready)
        if session.intents & GUILDS:
            for guild in guilds:
                if guild.id not in self.faults.outages:
                    self.send(session, "GUILD_CREATE", self.build_guild_create(guild, session))

    def _list_guilds(self, session: Session) -> list[Guild]:
        return [each for each in self._world.guilds.values() if each.has_bot and session.covers(each.id)]

    def build_guild_create(self, guild: Guild, session: Session) -> Json:
        return serialize_guild_create(guild, with_members=bool(session.intents & GUILD_MEMBERS))

    def _handle_resume(self, connection: Connection, data: Json) -> int | None:
        if data.get("token", "").removeprefix("Bot ") != self._world.application.token:
            return codes.AUTH_FAILED
        session = self._sessions.get(data.get("session_id", ""))
        seq = data.get("seq") or 0
        if session is not None and seq > session.seq:
            return codes.INVALID_SEQ
        lost = session is None or (session.sent and session.sent[0][0] > seq + 1)
        if session is None or lost:
            self._send_control(connection, codes.INVALID_SESSION, False)
            return None
        missed = [payload for number, payload in session.sent if number > seq]
        self._attach(connection, session)
        for payload in missed:
            connection.push(payload)
        self.send(session, "RESUMED", {"_trace": ["sandbox"]})
        self._world.publish("bot_status")
        return None

    def _send_members(self, session: Session, data: Json) -> None:
        if (guild := self._world.guilds.get(int(data.get("guild_id", 0)))) is not None:
            self.send(session, "GUILD_MEMBERS_CHUNK", serialize_members_chunk(guild, data))

    # -- notes ---------------------------------------------------------------------------------------

    def _note(self, session_id: str, op: int, name: str | None, data: Any, *, is_sent: bool) -> None:
        number = self._journal.take_number()
        now = self._world.clock.now()
        self._journal.add(GatewayEvent(number, now, is_sent, session_id, op, name, data))

    def _blame(self, detail: str) -> None:
        self._journal.blame(Violation("gateway", "request", "gateway", detail))
