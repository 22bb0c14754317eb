"""A bot without a library: sends exactly the bytes that a test wants, so that rules can be broken on purpose."""

from __future__ import annotations

import asyncio
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from discord_sandbox import Interaction, Sandbox, ScriptedUser


class RawBot:
    """One REST session and at most one gateway connection."""

    def __init__(self, server: Sandbox, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.session = session
        self.socket: aiohttp.ClientWebSocketResponse | None = None
        self._inflate = zlib.decompressobj()

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """(status, JSON body) of a request with the bot's token."""
        headers = {"Authorization": f"Bot {self.server.token}"} | more.pop("headers", {})
        if body is not None:
            more["data"] = json.dumps(body)
            headers["Content-Type"] = "application/json"
        async with self.session.request(method, self.server.api_base + path, headers=headers, **more) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text else None

    async def connect(self, *, query: str = "v=10&encoding=json&compress=zlib-stream") -> Any:
        """Open the gateway; the answer is HELLO's data."""
        self.socket = await self.session.ws_connect(f"{self.server.gateway_url}?{query}", max_msg_size=0)
        self._inflate = zlib.decompressobj()
        hello = await self.receive()
        assert hello["op"] == 10
        return hello["d"]

    async def identify(self, **more: Any) -> Any:
        """IDENTIFY; the answer is READY's data."""
        await self.send(2, {"token": self.server.token, "properties": {}, "intents": 1} | more)
        return (await self.receive())["d"]

    async def send(self, op: int, data: Any) -> None:
        assert self.socket is not None
        await self.socket.send_json({"op": op, "d": data})

    async def receive(self) -> Any:
        """The next payload; `{"closed": code}` at the end."""
        assert self.socket is not None
        frame = await self.socket.receive(timeout=Sandbox.patience_s)
        if frame.type is aiohttp.WSMsgType.BINARY:
            return json.loads(self._inflate.decompress(frame.data))
        if frame.type is aiohttp.WSMsgType.TEXT:
            return json.loads(frame.data)
        return {"closed": self.socket.close_code}

    async def event(self, name: str) -> Any:
        """The data of the next event of that name; others are skipped."""
        while True:
            payload = await self.receive()
            assert "closed" not in payload, payload
            if payload.get("t") == name:
                return payload["d"]


@asynccontextmanager
async def raw_bot(server: Sandbox) -> AsyncIterator[RawBot]:
    async with aiohttp.ClientSession() as session:
        bot = RawBot(server, session)
        try:
            yield bot
        finally:
            if bot.socket is not None:
                await bot.socket.close()


class Pending:
    """An interaction that waits for its first answer."""

    def __init__(self, bot: RawBot, event: Any, act: asyncio.Task[Interaction]) -> None:
        self.bot, self.event, self.act = bot, event, act

    @property
    def hook(self) -> str:
        return f"/webhooks/{self.event['application_id']}/{self.event['token']}"

    async def respond(self, kind: int, data: Any = None) -> tuple[int, Any]:
        path = f"/interactions/{self.event['id']}/{self.event['token']}/callback?with_response=1"
        return await self.bot.call("POST", path, {"type": kind} | ({} if data is None else {"data": data}))


async def pending(bot: RawBot, actor: ScriptedUser, command: str = "ping", **options: Any) -> Pending:
    """Let a person use a command and hold the answer back."""
    act = asyncio.create_task(actor.slash(command, **options))
    return Pending(bot, await bot.event("INTERACTION_CREATE"), act)
