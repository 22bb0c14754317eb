"""Which workers the settings make."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli import workers
from cli.workers import build_pool
from config import Settings
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.scheduling.worker_pool import WorkerPool

MODELS = Catalog.open("paintbox").models


async def pool_of(folder: Path, *, is_single: bool = False, **options: str) -> list[tuple[str, str]]:
    pool = await build_pool(Settings(data_dir=folder, **options), MODELS, is_single=is_single)  # type: ignore[arg-type]
    return list_members(pool)


def list_members(pool: WorkerPool) -> list[tuple[str, str]]:
    return [(each.name, each.worker._config.settings.device) for each in pool.members]  # type: ignore[attr-defined]


async def test_there_is_one_worker_on_the_device_unless_several_are_named(tmp_path: Path) -> None:
    assert await pool_of(tmp_path) == [("auto", "auto")]
    assert await pool_of(tmp_path, device="cuda:1") == [("cuda:1", "cuda:1")]
    assert await pool_of(tmp_path, device="cuda:1", devices="cpu") == [("cpu", "cpu")]


async def test_each_device_named_gets_a_worker_under_its_own_name(tmp_path: Path) -> None:
    assert await pool_of(tmp_path, devices="CUDA:0, cuda:1") == [("cuda:0", "cuda:0"), ("cuda:1", "cuda:1")]
    several = await pool_of(tmp_path, devices="cuda:0,cpu*2")
    assert several == [("cuda:0", "cuda:0"), ("cpu #1", "cpu"), ("cpu #2", "cpu")]
    assert await pool_of(tmp_path, devices="cuda:1,cpu*2", is_single=True) == [("cuda:1", "cuda:1")]


@pytest.mark.parametrize(("cards", "devices"), [(0, ["auto"]), (1, ["auto"]), (3, ["cuda:0", "cuda:1", "cuda:2"])])
async def test_auto_is_every_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cards: int, devices: list[str]
) -> None:
    monkeypatch.setattr(workers, "_COUNT_CARDS", f"print({cards})")  # in a real process, without torch's second
    assert [device for _, device in await pool_of(tmp_path, devices="auto")] == devices
    assert await pool_of(tmp_path, devices="auto", is_single=True) == [("auto", "auto")], "not counted for one job"


async def test_without_a_device_there_has_to_be_a_fleet(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing could paint"):
        await pool_of(tmp_path, devices="none")
    assert await pool_of(tmp_path, devices="none", fleet="10.8.0.1") == []
    assert await pool_of(tmp_path, devices="none", is_single=True) == [("auto", "auto")], "the shell paints here"
