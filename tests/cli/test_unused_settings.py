"""A setting that does not hold because of another one is said, before the start too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.doctor import AT_START, Outcome, run_checks
from cli.unused_settings import GROUPS, find_unused
from config import Settings


def found(folder: Path, **options: Any) -> list[str]:
    return find_unused(Settings(data_dir=folder, **options))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"cloud_token": "r8", "cloud_price": 0.1, "cloud_budget": 5},
            "ATELIER_CLOUD_TOKEN, ATELIER_CLOUD_PRICE and ATELIER_CLOUD_BUDGET have no effect without "
            "ATELIER_CLOUD_URL.",
        ),
        ({"cloud_slots": 4}, "ATELIER_CLOUD_SLOTS has no effect without ATELIER_CLOUD_URL."),
        ({"fleet_token": "t"}, "ATELIER_FLEET_TOKEN has no effect without ATELIER_FLEET."),
        ({"c2pa_algorithm": "es384"}, "ATELIER_C2PA_ALGORITHM has no effect without ATELIER_C2PA_CERTIFICATES."),
        (
            {"safety_checker": False, "porn_threshold": 0.5},
            "ATELIER_PORN_THRESHOLD has no effect without ATELIER_SAFETY_CHECKER.",
        ),
        ({"api_host": "::1"}, "ATELIER_API_HOST has no effect without ATELIER_API_PORT."),
        ({"http_host": "0.0.0.0", "health_port": 0}, "ATELIER_HTTP_HOST has no effect without ATELIER_HEALTH_PORT."),
        ({"devices": "cpu*2", "device": "cuda"}, "ATELIER_DEVICE has no effect beside ATELIER_DEVICES."),
    ],
)
def test_what_does_not_hold_is_said_in_one_sentence(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    assert found(tmp_path, **options) == [said]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cloud_url": "http://127.0.0.1:5000", "cloud_price": 0.1},
        {"fleet": "10.8.0.1:6379", "fleet_token": "t"},
        {"porn_threshold": 0.5},
        {"device": "cuda"},
        {"devices": "cpu*2"},
    ],
)
def test_what_holds_is_not_said(options: dict[str, Any], tmp_path: Path) -> None:
    assert found(tmp_path, **options) == []


def test_every_group_names_settings_that_there_are() -> None:
    for group in GROUPS:
        assert group.other in Settings.model_fields
        assert all(name in Settings.model_fields or name.endswith("_") for name in group.names)
        assert list(group.list_members()), group


async def test_a_start_says_it_and_goes_on(tmp_path: Path) -> None:
    given = Settings(data_dir=tmp_path, cloud_price=0.1)
    [result] = await run_checks(given, [each for each in AT_START if each.name == "Settings"])
    assert result.outcome is Outcome.WARNING and "ATELIER_CLOUD_PRICE has no effect" in result.text
