"""Makes the cloud worker that the settings ask for."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

import aiohttp

from cli.network import ProxyConnector
from config import Settings
from generation.cloud.money import CloudBooks, CloudTerms, to_micros
from generation.cloud.settings import CloudSettings
from generation.cloud.worker import CloudWorker
from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.asked_worker import AskedWorker


async def join_cloud(settings: Settings, models: Sequence[Model], pool: WorkerPool, books: CloudBooks) -> None:
    """Take the cloud worker into the pool, if the settings name one. Raise `ConfigurationError` if they do not fit."""
    if settings.cloud_url is None:
        return
    helpers = [each.worker for each in pool.members if isinstance(each.worker, AskedWorker)]
    cloud = read_cloud(settings, models, can_check=bool(helpers))
    worker = CloudWorker(cloud, books=books, helpers=helpers, open_session=open_session)
    await pool.join(Member(name="cloud", worker=worker, device=cloud.host, is_cloud=True))


def read_cloud(settings: Settings, models: Sequence[Model], *, can_check: bool) -> CloudSettings:
    """Return what the settings say of a cloud worker. Raise `ConfigurationError` if one may not be used."""
    model = settings.cloud_model or models[0].name
    if not settings.safety_checker or not can_check:
        raise _refuse(
            "A cloud worker's pictures have to be checked here, and no safety checker runs on this machine.",
            "Leave ATELIER_SAFETY_CHECKER on and ATELIER_DEVICES with a device, or leave ATELIER_CLOUD_URL out.",
        )
    if model not in {each.name for each in models}:
        raise _refuse(f"ATELIER_CLOUD_MODEL names no model here: “{model[:80]}”.", "`models list` shows their names.")
    if not 0 < settings.cloud_price <= settings.cloud_budget:
        raise _refuse(
            "A cloud worker needs a price and a budget for at least one picture.",
            "Set ATELIER_CLOUD_PRICE to the most that a picture costs, and ATELIER_CLOUD_BUDGET for a month.",
        )
    return CloudSettings(
        url=settings.cloud_url or "",
        model=model,
        price=to_micros(settings.cloud_price),
        budget=to_micros(settings.cloud_budget),
        price_s=to_micros(settings.cloud_price_s),
        version=settings.cloud_version,
        token=settings.cloud_token.get_secret_value().strip() if settings.cloud_token else "",
        hosts=settings.other_hosts,
        num_slots=settings.cloud_slots,
        timeout_s=settings.cloud_timeout_s,
    )


def find_terms(settings: Settings) -> CloudTerms | None:
    """Return what people are told of a cloud worker; None if there is none."""
    if settings.cloud_url is None:
        return None
    return CloudTerms(urlsplit(settings.cloud_url).hostname or "", to_micros(settings.cloud_budget))


def _refuse(problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError(problem=problem, remedy=remedy)


def open_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=ProxyConnector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    )
