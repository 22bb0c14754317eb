"""A server on loopback that speaks Cog's published API, as Replicate does and as a Cog container does.

Words in the prompt say how it behaves: `fail`, `slow`, `nonsense`, `no-image`, `other-size`, `large`, `redirect`,
`elsewhere`, `no-predict-time`, `stay-silent`, `by-url`, or a status: `status-402`.
"""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from generation.cloud import api
from generation.cloud.probe import INPUTS
from tests.generation.engine.painting import a_picture

TOKEN = "r8-canary-6d1"


class CogServer:
    def __init__(self) -> None:
        self.port = 0
        self.begun: list[dict[str, Any]] = []
        """Bodies of the requests that began a prediction."""
        self.stopped: list[str] = []
        self.seen: list[tuple[str, str, str | None]] = []
        """Method, path and authorization of every request."""
        self.predictions: dict[str, dict[str, Any]] = {}
        self.state, self.inputs = "READY", list(INPUTS)
        """What its health page and its description say."""
        self.goes_on = asyncio.Event()
        self.has_begun, self.was_asked = asyncio.Event(), asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def build(self) -> web.Application:
        app = web.Application(middlewares=[self._note])
        app.router.add_post("/predictions", self._post)
        app.router.add_put("/predictions/{id}", self._put)
        app.router.add_get("/predictions/{id}", self._get)
        app.router.add_post("/predictions/{id}/cancel", self._cancel)
        app.router.add_get("/files/{name}", self._file)
        app.router.add_get("/health-check", self._health)
        app.router.add_get("/openapi.json", self._describe)
        app.router.add_get("/account", self._account)
        return app

    @web.middleware
    async def _note(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen.append((request.method, request.path, request.headers.get("Authorization")))
        response: web.StreamResponse = await handler(request)
        return response

    async def _post(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert set(body) == {"version", "input"}
        if (refused := self._refuse(body)) is not None:
            return refused
        name = f"p{len(self.begun)}"
        self._begin(name, body)
        if "stay-silent" in body["input"]["prompt"]:
            await self.goes_on.wait()
        if "nonsense" in body["input"]["prompt"]:
            return web.Response(text="<html>", status=201)
        return web.json_response(self.predictions[name] | {"status": "starting", "output": None}, status=201)

    async def _put(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert set(body) == {"input"}
        if (refused := self._refuse(body)) is not None:
            return refused
        name = request.match_info["id"]
        self._begin(name, body)
        if "slow" in body["input"]["prompt"]:
            await self.goes_on.wait()
        return web.json_response(self.predictions[name])

    def _refuse(self, body: dict[str, Any]) -> web.StreamResponse | None:
        prompt = body["input"]["prompt"]
        if "redirect" in prompt:
            return web.Response(status=307, headers={"Location": f"{self.url}/predictions/elsewhere"})
        if (found := re.search(r"status-(\d+)", prompt)) is not None:
            return web.json_response({"detail": prompt}, status=int(found[1]), headers={"Retry-After": "7"})
        return None

    def _begin(self, name: str, body: dict[str, Any]) -> None:
        self.begun.append(body)
        given = body["input"]
        prompt, size = given["prompt"], (given["width"], given["height"])
        metrics = {} if "no-predict-time" in prompt else {"predict_time": 2.0}
        said: dict[str, Any] = {"id": name, "status": "succeeded", "output": self._paint(prompt, size)}
        if "fail" in prompt:
            said |= {"status": "failed", "output": None, "error": prompt}
        if "slow" in prompt:
            said["status"] = "processing"
        self.predictions[name] = said | {"metrics": metrics}
        self.has_begun.set()

    def _paint(self, prompt: str, size: tuple[int, int]) -> object:
        if "elsewhere" in prompt:
            return [f"http://localhost:{self.port}/files/picture.png"]  # the same server, by a name that is not allowed
        if "by-url" in prompt:
            return [f"{self.url}/files/picture.png"]
        if "large" in prompt:
            return f"data:image/png;base64,{'A' * (api.MAX_PICTURE_BYTES * 4 // 3 + 8)}"
        if "no-image" in prompt:
            return {"what": "else"}
        data = (
            b"\x89PNG nothing"
            if "broken" in prompt
            else a_picture(size_px=(size[0] * 2, size[1]))
            if ("other-size" in prompt)
            else a_picture(size_px=size)
        )
        return f"data:image/png;base64,{base64.b64encode(data).decode()}"

    async def _get(self, request: web.Request) -> web.StreamResponse:
        found = self.predictions.get(request.match_info["id"])
        self.was_asked.set()
        return web.json_response({}, status=404) if found is None else web.json_response(found)

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["id"]
        self.stopped.append(name)
        if name in self.predictions:
            self.predictions[name] |= {"status": "canceled", "output": None}
        return web.json_response({})

    async def _health(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": self.state, "version": {"coglet": "0.17.0"}})

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        given = {"type": "object", "properties": {name: {} for name in self.inputs}}
        return web.json_response({"openapi": "3.0.2", "components": {"schemas": {"Input": given}}})

    async def _account(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({"title": "Unauthenticated", "status": 401}, status=401)
        return web.json_response({"type": "organization", "username": "acme", "name": "Acme"})

    async def _file(self, request: web.Request) -> web.StreamResponse:
        return web.Response(body=a_picture())


@asynccontextmanager
async def serve_cog() -> AsyncIterator[CogServer]:
    server = CogServer()
    runner = web.AppRunner(server.build(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        server.goes_on.set()
        await runner.cleanup()
