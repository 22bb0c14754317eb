"""The health page names problems, and answers this machine only."""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from cli.health import HealthStatus, LoopLag, serve_health
from generation.errors import ConfigurationError
from generation.models.catalog import Catalog
from generation.retry import Problems
from generation.scheduling.worker_pool import Member, WorkerPool
from tests.generation.in_process_worker import InProcessWorker
from tests.generation.service_harness import opened_with
from tests.patience import PATIENCE_S


def free_port() -> int:

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def fetch(port: int) -> tuple[int, dict[str, object]]:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/healthz") as answer:
        return answer.status, await answer.json()


async def test_well_is_200_and_unwell_is_503_with_the_reason() -> None:
    port, problems = free_port(), list[str]()
    async with serve_health(port, lambda: {"problems": problems}):
        assert (await fetch(port))[0] == 200
        problems.append("Discord: connecting")
        status, body = await fetch(port)
        assert status == 503
        assert body["problems"] == ["Discord: connecting"]


async def test_of_several_workers_one_that_is_down_makes_the_bot_slower_but_not_unwell(tmp_path: Path) -> None:
    catalog = Catalog.open("paintbox")
    workers = [InProcessWorker(catalog.models) for _ in range(2)]
    pool = WorkerPool([Member(name=f"w{number}", worker=worker) for number, worker in enumerate(workers)])
    async with opened_with(tmp_path, pool, catalog=catalog) as place:
        status = HealthStatus(place.generation, place.store._database, Problems())
        status.set_discord("connected")
        await place.finished(await place.submit())
        workers[0].lose()
        async with asyncio.timeout(PATIENCE_S):
            while not any(each.trouble for each in place.generation.workers):  # noqa: ASYNC110
                await asyncio.sleep(0)
        facts = status()
        assert facts["problems"] == []
        assert facts["degraded"] == ["The worker w0 is starting or restarting (it was unplugged)."]
        workers[1].lose()
        assert status()["problems"], "now nothing is painted"
        assert status()["degraded"] == []


async def test_a_taken_port_is_one_sentence() -> None:
    port = free_port()
    async with serve_health(port, dict):
        with pytest.raises(ConfigurationError, match=f"Port {port} of this machine is in use"):
            async with serve_health(port, dict):
                pass


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, r"Port 80 is kept for the system, and this user may not open it\. Set ATELIER_HEALTH_PORT"),
        (errno.EADDRNOTAVAIL, r"Port 80 cannot be opened on 127\.0\.0\.1 \(Cannot assign requested address\)"),
    ],
)
async def test_a_port_that_cannot_be_opened_is_not_called_in_use(
    monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    async def refuse(_site: web.TCPSite) -> None:
        raise OSError(number, "as the system says")

    monkeypatch.setattr(web.TCPSite, "start", refuse)
    with pytest.raises(ConfigurationError, match=says):
        async with serve_health(80, dict):
            pass


async def test_a_blocked_loop_shows() -> None:
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch())
    await asyncio.sleep(0)
    block_until_s = time.perf_counter() + 0.2
    while time.perf_counter() < block_until_s:
        pass  # the thing to be noticed
    while lag.p99_ms() == 0.0:  # noqa: ASYNC110 - the watch has no event to wait for, and needs none
        await asyncio.sleep(0)
    watching.cancel()
    assert lag.p99_ms() > 100
