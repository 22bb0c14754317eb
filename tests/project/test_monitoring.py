"""The page on monitoring names every metric, and none that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from cli.health import HealthStatus
from cli.metrics_collector import MetricsPage
from config import Settings
from generation.models.catalog import Catalog
from generation.retry import Problems
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import opened_with
from tests.project.test_versions import ROOT


async def list_metrics(folder: Path) -> set[str]:
    """Return the names on the page of a bot with one worker."""
    catalog = Catalog.open("paintbox")
    pool = WorkerPool([Member(name="one", worker=InProcessWorker(catalog.models))])
    settings = Settings(data_dir=folder)
    async with opened_with(folder, pool, catalog=catalog) as place:
        status = HealthStatus(place.generation, place.store._database, Problems())
        text = (await MetricsPage(settings, place.generation, place.generation.files, status).render()).decode()
    return {
        f"{each.name}_total" if each.type == "counter" else each.name
        for each in text_string_to_metric_families(text)
        if each.name.startswith("atelier_")
    }


def named(text: str) -> Iterator[str]:
    for name in re.findall(r"\batelier_[a-z0-9_]+", text):
        yield re.sub(r"_(bucket|count|sum)$", "", name)


@pytest.fixture
async def metrics(tmp_path: Path) -> set[str]:
    return await list_metrics(tmp_path)


async def test_every_metric_is_in_a_table_of_the_page(metrics: set[str]) -> None:
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    rows = "\n".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `atelier_"))
    assert set(named(rows)) == metrics
    assert set(named(page)) <= metrics
