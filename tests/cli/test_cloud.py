"""Which cloud worker the settings make, and which they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli.cloud import find_terms, read_cloud
from cli.workers import build_pool
from config import Settings
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.workers.asked_worker import AskedWorker

MODELS = Catalog.open("paintbox").models
URL = "https://api.replicate.com/v1"
PAID: dict[str, Any] = {"cloud_url": URL, "cloud_price": 0.003, "cloud_budget": 5}


def settings(folder: Path, **options: Any) -> Settings:
    return Settings(data_dir=folder, **options)


async def test_it_is_off_by_default(tmp_path: Path) -> None:
    off = settings(tmp_path)
    assert find_terms(off) is None
    assert not [each for each in (await build_pool(off, MODELS)).members if isinstance(each.worker, AskedWorker)]


async def test_the_workers_here_check_what_comes_back(tmp_path: Path) -> None:
    pool = await build_pool(settings(tmp_path, **PAID), MODELS)
    assert all(isinstance(each.worker, AskedWorker) for each in pool.members)


def test_prices_are_exact_and_hosts_are_a_list(tmp_path: Path) -> None:
    given = settings(tmp_path, **PAID, cloud_price_s=0.0005, cloud_hosts="replicate.delivery, a.example.org")
    found = read_cloud(given, MODELS, can_check=True)
    assert (found.model, found.price, found.budget, found.price_s) == ("paintbox", 3000, 5_000_000, 500)
    assert found.hosts == {"replicate.delivery", "a.example.org"} and found.host == "api.replicate.com"
    assert found.price_of(2.0) == 1000 and found.price_of(None) == 3000


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"safety_checker": False}, "checked here"),
        ({"cloud_budget": 0}, "price and a budget"),
        ({"cloud_price": 0}, "price and a budget"),
        ({"cloud_price": 6}, "price and a budget"),
        ({"cloud_model": "other"}, "names no model"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        read_cloud(settings(tmp_path, **PAID | options), MODELS, can_check=True)


def test_without_a_worker_here_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="checked here"):
        read_cloud(settings(tmp_path, **PAID), MODELS, can_check=False)


@pytest.mark.parametrize(
    "url",
    ["http://api.replicate.com/v1", "ftp://x", "https://", "https://u:p@h/v1", "https://h/?a=1", "http://8.8.8.8:5000"],
)
def test_words_and_token_never_travel_in_the_open(tmp_path: Path, url: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, cloud_url=url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:5000", "http://10.8.0.2:5000/", URL])
def test_a_server_of_ones_own_may_be_private(tmp_path: Path, url: str) -> None:
    assert settings(tmp_path, cloud_url=url).cloud_url == url.rstrip("/")


@pytest.mark.parametrize("hosts", ["https://replicate.delivery", "localhost", "a b.org", "*.delivery"])
def test_hosts_are_names(tmp_path: Path, hosts: str) -> None:
    with pytest.raises(ValidationError):
        settings(tmp_path, cloud_hosts=hosts)
