"""The web pages with a Discord that signs people in."""

from __future__ import annotations

import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from api.web.settings import WebSettings
from discord_sandbox import Sandbox, User
from generation.jobs.job import Job
from generation.owner import Owner
from tests.api.harness import Api, opened_api
from tests.patience import PATIENCE_S

PROMPT = "a red <circle>"
SERVER = 1001
"""Where the people of these tests are."""


@dataclass(frozen=True)
class DeskOf:
    """The rights of one moderator. What decisions do is tried with the bot, in tests/scenarios."""

    user_id: int

    async def moderates(self, owner: Owner) -> bool:
        return owner == Owner(SERVER, self.user_id)

    async def decide(self, owner: Owner, job: Job, name: str) -> None:
        raise AssertionError


@dataclass
class Pages:
    """The pages, and the Discord that signs people in."""

    api: Api
    sandbox: Sandbox
    web: WebSettings
    ada: User
    bo: User

    async def browser(self) -> httpx2.AsyncClient:
        client = httpx2.AsyncClient(base_url=self.api.url, timeout=PATIENCE_S, trust_env=False, follow_redirects=False)
        return await self.api.stack.enter_async_context(client)

    async def signed_in(self, user: User) -> httpx2.AsyncClient:
        """Return a browser that went through the sign-in as that account."""
        client = await self.browser()
        ask = (await client.get("/sign-in")).headers["Location"]
        agreed = await client.post(ask, data={"user": str(user.id)})
        done = await client.get(agreed.headers["Location"])
        assert (done.status_code, done.headers["Location"]) == (303, "/gallery")
        return client

    async def painted(
        self, user: User, *, count: int = 1, guild_id: int = SERVER, prompt: str = PROMPT, size: str = "64x64"
    ) -> Job:
        """Return a finished job of that member."""
        client = await self.api.client(Owner(guild_id, user.id), name=secrets.token_hex(4))
        body = {"prompt": prompt, "size": size, "steps": 4, "count": count, "seed": 7}
        job_id = (await client.post("/api/v1/jobs", json=body)).json()["id"]
        return await self.api.services.generation.finished(job_id)


@asynccontextmanager
async def opened_pages(folder: Path, blank_database: Path) -> AsyncIterator[Pages]:
    """Serve the pages of a new service in that folder."""
    async with Sandbox(openapi="") as sandbox:
        ada, bo = sandbox.world.add_user("Ada"), sandbox.world.add_user("Bo")
        port = _find_free_port()
        web = WebSettings(
            url=f"http://127.0.0.1:{port}",
            client_id=str(sandbox.world.application.id),
            client_secret=sandbox.oauth2.secret,
            authorize_url=f"{sandbox.url}/oauth2/authorize",
            discord_api_url=f"{sandbox.url}/api/v10",
            owner_ids=frozenset({ada.id}),
            desk=DeskOf(ada.id),
            name_servers=lambda: {SERVER: "Painters", 2002: "Others"},
        )
        sandbox.oauth2.redirect_uris.add(web.redirect_url)
        async with opened_api(folder, blank_database, web=web, port=port) as api:
            yield Pages(api, sandbox, web, ada, bo)


def _find_free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
