"""What `doctor` says of a cloud worker: its server, its token, its price and its budget, a line for each."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from cli.cloud import open_session, read_cloud
from config import Settings
from db.address import parse_url
from db.admin.cloud_month import read_committed
from generation.clock import utc_now
from generation.cloud.api import CloudError, PredictionApi
from generation.cloud.money import MILLION
from generation.cloud.probe import probe
from generation.cloud.settings import CloudSettings
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Finding:
    """One line, and whether pictures can come of what it says."""

    text: str
    is_well: bool = True


async def look(settings: Settings) -> tuple[Finding, ...]:
    """Return how a cloud worker would do; nothing if none is set. Raise `ConfigurationError` for settings that `serve`
    refuses."""
    if settings.cloud_url is None:
        return ()
    catalog = await asyncio.to_thread(Catalog.open, settings.model, settings.folder_of_models)
    cloud = read_cloud(settings, catalog.models, can_check=bool(settings.worker_devices))
    budget = _describe_budget(cloud, await _read_committed(settings))
    return await _look_at_server(cloud), _look_at_token(cloud), _describe_price(cloud), budget


async def _look_at_server(cloud: CloudSettings) -> Finding:
    async with open_session() as session:
        try:
            return Finding(f"server: {cloud.host} {await probe(cloud, PredictionApi(cloud, session))}")
        except CloudError as wrong:
            return Finding(f"server: {cloud.host} gives no pictures: {wrong}", is_well=False)


def _look_at_token(cloud: CloudSettings) -> Finding:
    if cloud.token:
        return Finding("token: set")
    if cloud.version:
        return Finding("token: none, and Replicate needs one (ATELIER_CLOUD_TOKEN_FILE)", is_well=False)
    return Finding("token: none")


def _describe_price(cloud: CloudSettings) -> Finding:
    by_time = f", and {_format(cloud.price_s)} a second is settled" if cloud.price_s else ""
    return Finding(f"price: {_format(cloud.price)} is reserved for a picture of {cloud.model}{by_time}")


def _describe_budget(cloud: CloudSettings, committed: int) -> Finding:
    said = f"budget: {_format(committed)} of {_format(cloud.budget)} is spent or reserved in this month (UTC)"
    if committed + cloud.price <= cloud.budget:
        return Finding(said)
    return Finding(f"{said}, and another picture has no room (ATELIER_CLOUD_BUDGET)", is_well=False)


async def _read_committed(settings: Settings) -> int:
    try:
        return await asyncio.to_thread(read_committed, parse_url(settings.url_of_database), utc_now())
    except ConfigurationError:  # the check of the database says what is wrong with it
        return 0


def _format(micros: int) -> str:
    return f"{micros / MILLION:.6f}".rstrip("0").rstrip(".")
