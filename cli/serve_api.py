"""The API without Discord: the same service, stores and limits, and nothing that speaks to Discord."""

from __future__ import annotations

import logging
import os
from contextlib import AsyncExitStack

from cli.api import DEFAULT_PORT, open_api, wait_until
from cli.doctor import require_startable
from cli.health import HealthStatus
from cli.http_pages import serve_pages
from cli.metrics_collector import build_pages
from cli.process import make_collections_rare, stop_on_signals
from cli.serve import LAST_ADMISSIONS_S, build_services, open_app, start
from cli.systemd import READY, STOPPING, Systemd
from cogs.connection import CONNECTED
from cogs.maintenance import keep_promises
from config import Settings

log = logging.getLogger("atelier")


async def serve_api_alone(settings: Settings) -> None:
    """Serve the API until SIGINT or SIGTERM. Raise `ConfigurationError` if it cannot start."""
    stop, systemd = stop_on_signals(), Systemd.of(os.environ)
    settings = settings.model_copy(update={"api_port": settings.api_port or DEFAULT_PORT})
    for warning in await require_startable(settings, needs_discord=False):
        log.warning("check=%s action=warned reason=%s", warning.name, warning.text)
    async with open_app(settings) as app, AsyncExitStack() as beside:
        make_collections_rare()
        services = build_services(app, settings)
        await services.preferences.load()
        status = HealthStatus(app.generation, app.database, app.problems, fleet=app.fleet)
        status.set_discord(CONNECTED)  # none is needed
        pages = build_pages(settings, app, status)
        await beside.enter_async_context(serve_pages(settings.health_port, pages, host=settings.http_host))
        port = await beside.enter_async_context(open_api(settings, services))
        start(beside, keep_promises(services), "upkeep")
        start(beside, systemd.keep_alive(), "alive")
        systemd.tell(READY)
        log.info("action=api-up host=%s port=%s", settings.api_host, port)
        await wait_until(stop, app.running)
        systemd.tell(STOPPING)
        await services.admission_limiter.close(patience_s=LAST_ADMISSIONS_S)
        await app.generation.drain(grace_s=settings.shutdown_grace_s)
