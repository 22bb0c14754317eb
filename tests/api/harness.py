"""The API over loopback: the real application, service and SQLite; only the painting is light, in this process."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from fastapi import FastAPI

from api.app import DIALECTS, build_app
from api.context import ApiContext, ApiLimits
from api.dialect import Dialect
from api.server import serve_api
from api.web.settings import WebSettings
from cli.api import LOCAL, bind
from cli.serve import Parts, build_services
from cogs.services import Services
from config import Settings
from generation.models.catalog import Catalog
from generation.owner import Owner
from generation.retry import Problems
from generation.rules.screening import Screener
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import Place, opened_with
from tests.patience import PATIENCE_S

ADA, BO = Owner(1001, 100), Owner(2002, 200)
"""Members of two servers."""


@dataclass
class People:
    """Who is in which server, with which roles: what Discord would say."""

    roles: dict[Owner, Sequence[int] | None] = field(default_factory=dict)

    async def __call__(self, owner: Owner) -> Sequence[int] | None:
        return self.roles.get(owner, (owner.guild_id,))


@dataclass
class Api:
    """A running API, and what stands behind it."""

    url: str
    services: Services
    people: People
    place: Place
    stack: AsyncExitStack
    app: FastAPI

    async def client(self, owner: Owner = LOCAL, name: str = "test") -> httpx2.AsyncClient:
        """Return a client with a new key of that member."""
        return await self.with_key(await self.services.api_keys.create(owner, name))

    async def with_key(self, key: str | None) -> httpx2.AsyncClient:
        """Return a client with that key; None: without one."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        client = httpx2.AsyncClient(base_url=self.url, headers=headers, timeout=PATIENCE_S, trust_env=False)
        return await self.stack.enter_async_context(client)


@asynccontextmanager
async def opened_api(
    folder: Path,
    blank_database: Path,
    *,
    dialects: Sequence[Dialect] = DIALECTS,
    limits: ApiLimits = ApiLimits(),  # noqa: B008 - frozen
    web: WebSettings | None = None,
    port: int = 0,
    models_dir: Path | None = None,
) -> AsyncIterator[Api]:
    """Serve the API of a new service in that folder, with the models that were added to another."""
    shutil.copy(blank_database, folder / "atelier.db")
    async with AsyncExitStack() as stack:
        catalog = Catalog.open("paintbox", models_dir)
        pool = WorkerPool([Member(name="one", worker=InProcessWorker(catalog.models))])
        place = await stack.enter_async_context(opened_with(folder, pool, catalog=catalog))
        screener = Screener()
        stack.callback(screener.close)
        parts = Parts(
            generation=place.generation,
            jobs=place.store,
            database=place.database,
            files=place.generation.files,
            screener=screener,
            problems=Problems(),
        )
        services, people = build_services(parts, Settings(data_dir=folder)), People()
        await services.preferences.load()
        app = build_app(ApiContext(rooms=services, fetch_roles=people, limits=limits, web=web), dialects)
        bound = stack.enter_context(bind("127.0.0.1", port))
        port = await stack.enter_async_context(serve_api(app, bound))
        clients = await stack.enter_async_context(AsyncExitStack())
        yield Api(f"http://127.0.0.1:{port}", services, people, place, clients, app)
