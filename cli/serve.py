"""The composition root: everything but Discord as one `App`, the services of the cogs, and the bot that serves them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import discord
from msgspec.structs import asdict

from cli.api import open_api_if_wanted
from cli.cloud import find_terms, join_cloud
from cli.doctor import require_startable
from cli.health import HealthStatus
from cli.http_pages import serve_pages
from cli.metrics_collector import build_pages
from cli.network import ProxyConnector
from cli.process import make_collections_rare, stop_on_signals
from cli.standby import is_taken, wait_for_turn
from cli.systemd import READY, STOPPING, Systemd
from cli.trace_setup import traced
from cli.workers import build_fleet, build_pool
from cogs.common.pending_uploads import PendingUploads
from cogs.connection import keep_connected
from cogs.maintenance import keep_promises
from cogs.moderation import ReviewDesk
from cogs.services import Services
from config import Settings
from db.admin.personal import PersonalStore
from db.admin.removed_guilds import RemovedGuildStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.stores.alt_texts import AltTextStore
from db.stores.api_keys import ApiKeyStore
from db.stores.audit_log import AuditLogStore
from db.stores.cloud import CloudStore
from db.stores.content_rules import ContentRuleStore
from db.stores.deliveries import DeliveryStore
from db.stores.favourites import FavouriteStore
from db.stores.guild_policy import GuildPolicyStore
from db.stores.history import HistoryStore
from db.stores.jobs import JobStore
from db.stores.member_preferences import MemberPreferencesStore
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from db.stores.quotas import QuotaStore
from db.stores.reviews import ReviewStore
from db.stores.settings import SettingsStore
from db.stores.shares import ShareStore
from db.stores.styles import StyleStore
from db.stores.usage import UsageStore
from generation.clock import Clock, utc_now
from generation.errors import ConfigurationError
from generation.fleet.fleet import Fleet
from generation.images.c2pa import load_credentials
from generation.images.cleanup import keep_tidy, sweep_periodically
from generation.images.store import ImageFiles
from generation.models.catalog import Catalog
from generation.models.failed_loads import FailedLoads
from generation.policy.rate_limit import RateLimiter, make_file_rate_limiter
from generation.retry import Problems
from generation.rules.screening import Screener
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.model_updates import CatalogWatch, follow_models
from generation.scheduling.service import GenerationService

log = logging.getLogger("atelier")
LAST_ADMISSIONS_S = 3.0
"""How long a stop waits for those who are being let in: by then Discord has given up on who was not acknowledged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything but Discord, open."""

    generation: GenerationService
    jobs: JobStore
    database: Database
    files: ImageFiles
    screener: Screener
    problems: Problems


@dataclass(frozen=True, slots=True, kw_only=True)
class App(Parts):
    """Everything but Discord, open and running."""

    running: asyncio.Task[None]
    fleet: Fleet | None


@asynccontextmanager
async def open_app(
    settings: Settings, *, is_single: bool = False, driver: asyncio.subprocess.Process | None = None
) -> AsyncIterator[App]:
    """Open database, workers (or a single one) and service in this order, and close them in the other.

    `driver`: of the fleet, where it is started already.
    """
    watch = CatalogWatch(
        lambda: Catalog.open(settings.model, settings.folder_of_models), models_dir=settings.folder_of_models
    )
    catalog = watch.open()
    async with AsyncExitStack() as stack:
        stack.enter_context(traced(settings.trace_endpoint))
        database = await stack.enter_async_context(await Database.open(settings.url_of_database, settings.data_dir))
        pool = await build_pool(settings, catalog.models, is_single=is_single)
        if not is_single:
            await join_cloud(settings, catalog.models, pool, CloudStore(database))
        fleet = None
        if settings.fleet and not is_single:
            fleet = await build_fleet(settings, catalog.models, pool, database, driver=driver)
            start(stack, fleet.run(), "fleet")
        stack.push_async_callback(pool.close)  # before the fleet: its members are let go through it
        screener = stack.enter_context(contextlib.closing(Screener()))
        jobs, files, problems = JobStore(database), ImageFiles(settings.pictures_dir), Problems()
        queue = FairQueue(max_per_user=settings.max_waiting_per_user, max_per_guild=settings.max_waiting_per_guild)
        generation = GenerationService(
            pool=pool, store=jobs, files=files, catalog=catalog, queue=queue, check_safety=settings.safety_checker
        )
        generation.failed_loads = FailedLoads(settings.engine.failed_loads)
        await _restore_choices(generation, database)
        running = start(stack, generation.run(), "generation")
        retention = RetentionStore(database)
        start(stack, keep_tidy(retention, files, problems), "tidying")
        start(stack, follow_models(generation, watch, problems), "models")
        start(stack, sweep_periodically(retention, files, problems), "sweeping")
        yield App(
            generation=generation,
            jobs=jobs,
            database=database,
            files=files,
            screener=screener,
            problems=problems,
            running=running,
            fleet=fleet,
        )


async def _restore_choices(generation: GenerationService, database: Database) -> None:
    """Apply what the operator has chosen and what holds after a restart: closed, paused, weights and boosts."""
    generation.is_closed = await OperatorStore(database).is_closed()
    generation.pause(await OperatorStore(database).is_paused())
    chosen = SettingsStore(database)
    for guild in await chosen.fetch_all():
        generation.set_weight(guild.guild_id, guild.weight)
    for boost in await chosen.fetch_boosts():
        generation.set_boost(boost)


def start(stack: AsyncExitStack, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Return a task that does `work`; `stack` stops it."""
    task = asyncio.create_task(work, name=name)
    stack.push_async_callback(_stop, task)
    return task


async def _stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has let go."""
    task.cancel()
    await asyncio.wait((task,))


def build_services(
    parts: Parts, settings: Settings, *, clock: Clock = utc_now, monotonic: Callable[[], float] = time.monotonic
) -> Services:
    """Return what the cogs may use. `clock` is this machine's; `monotonic` counts seconds."""
    database = parts.database
    key = settings.c2pa_key.get_secret_value() if settings.c2pa_key else None
    guild_policy = GuildPolicyStore(database, clock=clock)
    return Services(
        generation=parts.generation,
        jobs=parts.jobs,
        shares=ShareStore(database),
        retention=RetentionStore(database, clock=clock),
        alt_texts=AltTextStore(database),
        api_keys=ApiKeyStore(database, clock=clock),
        deliveries=DeliveryStore(database),
        guilds=SettingsStore(database),
        guild_policy=guild_policy,
        content_rules=ContentRuleStore(database, on_change=guild_policy.forget, clock=clock, screener=parts.screener),
        audit_log=AuditLogStore(database),
        reviews=ReviewStore(database, clock=clock),
        moderation=ModerationStore(database, clock=clock),
        personal=PersonalStore(database, clock=clock),
        cloud=CloudStore(database, clock=clock),
        cloud_terms=find_terms(settings),
        owner_ids=settings.owners,
        has_api=bool(settings.api_port),
        allows_dms=settings.allow_dms,
        allows_user_installs=settings.allow_user_installs,
        shows_presence=settings.presence,
        quotas=QuotaStore(database),
        usage=UsageStore(database),
        history=HistoryStore(database),
        favourites=FavouriteStore(database, clock=clock),
        preferences=MemberPreferencesStore(database),
        styles=StyleStore(database),
        pending_uploads=PendingUploads(settings.data_dir / "forms", clock=lambda: clock().timestamp()),
        operator=OperatorStore(database),
        credentials=load_credentials(settings.c2pa_certificates, key, settings.c2pa_algorithm),
        problems=parts.problems,
        thresholds=asdict(settings.engine.thresholds),
        removed_guilds=RemovedGuildStore(database, clock=clock, grace=timedelta(days=settings.guild_grace_days)),
        clock=clock,
        monotonic=monotonic,
        rates=RateLimiter(monotonic=monotonic),
        file_rates=make_file_rate_limiter(monotonic),
    )


async def serve(settings: Settings, *, waits: bool = False, driver: asyncio.subprocess.Process | None = None) -> None:
    """Run the bot until SIGINT or SIGTERM; with `waits`, first until no other bot runs. `driver` is the fleet's.

    Raise `ConfigurationError` if it cannot start.
    """
    stop, systemd = stop_on_signals(), Systemd.of(os.environ)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nothing here speaks
    async with AsyncExitStack() as stack:
        start(stack, systemd.keep_alive(), "alive")
        if not waits:
            await _serve(settings, stop, systemd, driver)
            return
        systemd.tell(READY)  # a standby is as it should be
        systemd.describe("standing by")
        while await wait_for_turn(settings, stop):
            try:
                await _serve(settings, stop, systemd)
            except ConfigurationError:
                if not await asyncio.to_thread(is_taken, settings):
                    raise  # else another one that waited was faster
            else:
                return


async def _serve(
    settings: Settings, stop: asyncio.Event, systemd: Systemd, driver: asyncio.subprocess.Process | None = None
) -> None:
    for warning in await require_startable(settings):
        log.warning("check=%s action=warned reason=%s", warning.name, warning.text)
    async with open_app(settings, driver=driver) as app:
        make_collections_rare()
        services = build_services(app, settings)
        status = HealthStatus(app.generation, app.database, app.problems, fleet=app.fleet)
        status.on_change = lambda: systemd.describe(status.summary)
        async with (
            serve_pages(settings.health_port, build_pages(settings, app, status), host=settings.http_host),
            open_api_if_wanted(
                settings, services, services.member_roles, services.member_roles.name_servers, ReviewDesk(services)
            ),
        ):
            systemd.tell(READY)
            await _run_bot(app, services, settings, status, stop)
            systemd.tell(STOPPING)


async def _run_bot(app: App, services: Services, settings: Settings, status: HealthStatus, stop: asyncio.Event) -> None:
    """Stay connected to Discord until told to stop, or until the connection or the service ends with an error.

    Raise `ConfigurationError` where another bot has taken the database over: it answers from now on.
    """
    assert settings.discord_token is not None  # `require_startable` has looked
    connected = asyncio.create_task(
        keep_connected(
            services,
            settings.discord_token.get_secret_value(),
            url=settings.discord_url,
            report=status.set_discord,
            connector=lambda: ProxyConnector(limit=0),
        )
    )
    stopped = asyncio.create_task(stop.wait())
    upkeep = asyncio.create_task(keep_promises(services), name="upkeep")
    taken = asyncio.create_task(app.database.until_taken(), name="watch for another bot")
    done, _ = await asyncio.wait((connected, stopped, taken, app.running), return_when=asyncio.FIRST_COMPLETED)
    if stopped in done:
        log.info("action=draining grace_s=%s", settings.shutdown_grace_s)
        await services.admission_limiter.close(patience_s=LAST_ADMISSIONS_S)
        await app.generation.drain(grace_s=settings.shutdown_grace_s)
    stopped.cancel()
    await _stop(upkeep)
    await _stop(connected)
    await _stop(taken)
    for task in done - {stopped, taken}:
        task.result()
    if taken in done:
        raise taken.result()
