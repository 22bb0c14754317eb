"""Which cloud worker the settings make, and which they refuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from cli import cloud_check
from cli.cloud import find_terms, read_cloud
from cli.doctor import CHECKS, CheckResult, Outcome, run_checks
from cli.workers import build_pool
from config import Settings
from db.engine import Database
from db.stores.cloud import CloudStore
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.workers.asked_worker import AskedWorker
from tests.generation.cloud.cog_server import TOKEN, CogServer, serve_cog

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


async def examine(folder: Path, server: CogServer, **options: Any) -> CheckResult:
    given = settings(folder, **PAID | {"cloud_url": server.url} | options)
    [result] = await run_checks(given, [each for each in CHECKS if each.name == "Cloud worker"])
    return result


async def test_doctor_says_of_each_part_how_it_is(tmp_path: Path) -> None:
    async with serve_cog() as server:
        well = await examine(tmp_path, server)
        assert well.outcome is Outcome.OK
        assert [line.strip() for line in well.text.splitlines()] == [
            "",
            "server: 127.0.0.1 answers as Cog does, and is ready",
            "token: none",
            "price: 0.003 is reserved for a picture of paintbox",
            "budget: 0 of 5 is spent or reserved in this month (UTC)",
        ]
        replicate = await examine(tmp_path, server, cloud_version="a" * 64, cloud_token=TOKEN)
        assert replicate.outcome is Outcome.OK and "as Replicate does, and takes the token" in replicate.text
        assert server.begun == [] and TOKEN not in replicate.text, "nothing is begun, and no token is shown"
    [off] = await run_checks(settings(tmp_path), [each for each in CHECKS if each.name == "Cloud worker"])
    assert (off.outcome, off.text) == (Outcome.OK, "none is set")


@pytest.mark.parametrize(
    ("options", "state", "says"),
    [
        ({"cloud_version": "a" * 64, "cloud_token": "r8-other"}, "READY", "refuses the token (401)"),
        ({"cloud_version": "a" * 64}, "READY", "token: none, and Replicate needs one"),
        ({}, "SETUP_FAILED", "its model does not work (SETUP_FAILED)"),
        ({}, "<html>", "does not answer as Cog does"),
    ],
)
async def test_doctor_warns_of_what_gives_no_pictures(
    options: dict[str, Any], state: str, says: str, tmp_path: Path
) -> None:
    async with serve_cog() as server:
        server.state = state
        result = await examine(tmp_path, server, **options)
    assert result.outcome is Outcome.WARNING and says in result.text and "r8-other" not in result.text


async def test_doctor_names_the_inputs_that_a_model_lacks_and_a_server_that_is_away(tmp_path: Path) -> None:
    async with serve_cog() as server:
        server.inputs.remove("guidance_scale")
        assert "does not take guidance_scale" in (await examine(tmp_path, server)).text
    assert "it cannot be reached" in (await examine(tmp_path, server)).text
    refused = await examine(tmp_path, server, cloud_budget=0)
    assert refused.outcome is Outcome.FAILED and "a price and a budget" in refused.text, "as `serve` refuses it"


async def test_doctor_says_when_the_month_has_no_room(tmp_path: Path) -> None:
    given = settings(tmp_path, **PAID)
    async with await Database.open(given.url_of_database, tmp_path) as database:
        await CloudStore(database).begin("an-image", price=4_999_000, budget=5_000_000)
    found = await cloud_check.look(given)
    assert [each.text for each in found if not each.is_well and "budget" in each.text] == [
        "budget: 4.999 of 5 is spent or reserved in this month (UTC), and another picture has no room "
        "(ATELIER_CLOUD_BUDGET)"
    ]
