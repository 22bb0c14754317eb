"""A cloud worker against a server that speaks the published API, real books, and a real worker that checks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bench.light_engine import ENGINE as LIGHT_ENGINE
from db.address import parse_url
from db.engine import Database
from db.migrate import migrate
from db.stores.cloud import CloudStore
from generation.cloud import api
from generation.cloud.settings import CloudSettings
from generation.cloud.worker import CloudWorker
from generation.errors import UncheckedError
from generation.images.codec import decode_png
from generation.jobs.protocol import Cancel, Cancelled, Event, Finished, GenerateCommand, ImageFailed, Ready
from generation.requests.recipe import require_trace
from generation.workers.asked_worker import AskedWorker
from generation.workers.frames import WorkerConfig
from tests.generation.cloud.cog_server import TOKEN, CogServer, serve_cog
from tests.generation.engine.painting import a_picture, a_spec, an_order
from tests.generation.engine.toy import toy_model
from tests.patience import PATIENCE_S

pytestmark = pytest.mark.asyncio(loop_scope="module")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PRICE, BUDGET = 3000, 1_000_000
END = (Finished, Cancelled, ImageFailed)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def helper() -> AsyncIterator[AskedWorker]:
    """Start a worker of this machine, whose own events nobody but the pool reads."""
    worker = AskedWorker(WorkerConfig(models=(toy_model(Path("no/model/needed")),), engine=LIGHT_ENGINE, nice=0))
    await worker.start()
    events = worker.events()
    assert isinstance(await anext(events), Ready)
    own: list[Event] = []

    async def read() -> None:
        own.extend([event async for event in events])

    reading = asyncio.create_task(read())
    yield worker
    await worker.close()
    await reading
    assert own == [], "what it was asked for is no event of its own"


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[CogServer]:
    async with serve_cog() as served:
        yield served


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a new database, so that each test need not migrate its own."""
    path = tmp_path_factory.mktemp("template") / "atelier.db"
    migrate(parse_url(f"sqlite:///{path}"))
    return path.read_bytes()


@pytest_asyncio.fixture(loop_scope="module")
async def database(tmp_path: Path, migrated: bytes) -> AsyncIterator[Database]:
    (tmp_path / "atelier.db").write_bytes(migrated)
    async with await Database.open(f"sqlite:///{tmp_path / 'atelier.db'}", tmp_path) as opened:
        yield opened


class Place:
    """A cloud worker that is up, and what it needs."""

    def __init__(self, server: CogServer, database: Database, helpers: tuple[AskedWorker, ...], **changes: Any) -> None:
        self.server = server
        self.books = CloudStore(database)
        settings = CloudSettings(
            url=server.url, model="toy", price=PRICE, budget=BUDGET, version="v" * 64, token=TOKEN, poll_s=0.01
        )
        self.settings = replace(settings, **changes)
        self.now_s = 0.0
        self.worker = CloudWorker(
            self.settings,
            books=self.books,
            helpers=helpers,
            open_session=aiohttp.ClientSession,
            monotonic=lambda: self.now_s or asyncio.get_running_loop().time(),
            help_within_s=0.1 if not helpers else PATIENCE_S,
        )
        self.events = self.worker.events()

    async def __aenter__(self) -> Place:
        await self.worker.start()
        assert isinstance(await anext(self.events), Ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.worker.close()

    async def paint(self, prompt: str, **changes: Any) -> Finished | Cancelled | ImageFailed:
        await self.worker.admit(order(prompt, **changes))
        return await self.end()

    async def end(self) -> Finished | Cancelled | ImageFailed:
        async with asyncio.timeout(PATIENCE_S):
            while not isinstance(event := await anext(self.events), END):
                pass
        return event


def order(prompt: str, **changes: Any) -> GenerateCommand:
    return an_order(a_spec(prompt=prompt), check_safety=True, **changes)


def is_from_cloud(end: object) -> bool:
    assert isinstance(end, Finished)
    assert end.fingerprint is not None
    return "cloud" in end.fingerprint.facts


@pytest.mark.parametrize(("version", "prompt"), [("v", "a cat"), ("", "a cat"), ("v", "a cat by-url")])
async def test_a_picture_comes_back_checked_and_named_for_what_it_is(
    server: CogServer, database: Database, helper: AskedWorker, version: str, prompt: str
) -> None:
    async with Place(server, database, (helper,), version=version) as place:
        end = await place.paint(prompt)
        assert isinstance(end, Finished) and is_from_cloud(end)
        assert end.pixels == decode_png(a_picture())[0]
        assert end.safety_scores, "a checker of this machine has looked at it"
        require_trace(a_spec(prompt=prompt), end.trace)
        assert end.model_sha256 == place.worker.model_sha256["toy"] != helper.model_sha256["toy"]
        assert await place.books.fetch_committed() == PRICE
        assert {auth for *_, auth in server.seen} == {f"Bearer {TOKEN}"}
        assert server.begun[0]["input"]["seed"] == 5 and len(server.begun) == 1


async def test_a_picture_that_the_checker_speaks_against_is_kept_back(
    server: CogServer, database: Database, helper: AskedWorker
) -> None:
    async with Place(server, database, (helper,)) as place:
        end = await place.paint("withhold-image")
        assert isinstance(end, Finished) and end.withheld and end.pixels == b"" and is_from_cloud(end)


async def test_without_a_worker_to_check_it_nothing_is_shown(server: CogServer, database: Database) -> None:
    async with Place(server, database, ()) as place:
        end = await place.paint("a cat")
        assert isinstance(end, ImageFailed) and end.error == UncheckedError.code
        assert await place.books.fetch_committed() == PRICE, "it was paid for all the same"


@pytest.mark.parametrize(
    ("prompt", "spent"),
    [
        ("fail", 2000),
        pytest.param("fail no-predict-time", PRICE, marks=pytest.mark.long),
        ("nonsense", PRICE),
        pytest.param("no-image", 2000, marks=pytest.mark.long),
        ("broken", 2000),
        pytest.param("other-size", 2000, marks=pytest.mark.long),
        ("elsewhere", 2000),
        ("large", 2000),
        ("redirect", PRICE),
        ("status-500", PRICE),
        ("status-402", 0),
        pytest.param("status-422", 0, marks=pytest.mark.long),
        ("status-429", 0),
    ],
)
async def test_where_the_cloud_gives_none_this_machine_paints_it_and_it_is_asked_once(
    server: CogServer,
    database: Database,
    helper: AskedWorker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    prompt: str,
    spent: int,
) -> None:
    monkeypatch.setattr(api, "MAX_PICTURE_BYTES", 1 << 16)
    caplog.set_level(logging.INFO)
    async with Place(server, database, (helper,), price_s=1000) as place:
        assert not is_from_cloud(await place.paint(f"a secret cat {prompt}"))
        assert await place.books.fetch_committed() == spent
        assert sum(method in ("POST", "PUT") for method, *_ in server.seen) == 1, "no request is sent twice"
        assert not {path for _, path, _ in server.seen} & {"/predictions/elsewhere", "/files/picture.png"}
        assert place.worker.num_slots == 0, "it rests"
        assert TOKEN not in caplog.text and "secret cat" not in caplog.text


async def test_an_answer_beyond_the_limit_is_not_read_to_its_end(
    server: CogServer, database: Database, helper: AskedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "MAX_ANSWER_BYTES", 1000)
    async with Place(server, database, (helper,), version="") as place:
        assert not is_from_cloud(await place.paint("a cat"))


async def test_it_rests_as_long_as_it_is_told_to(server: CogServer, database: Database, helper: AskedWorker) -> None:
    async with Place(server, database, (helper,)) as place:
        place.now_s = 1000.0
        await place.paint("status-429")
        place.now_s = 1006.9
        assert place.worker.num_slots == 0
        place.now_s = 1007.0
        assert place.worker.num_slots == 2
        await place.paint("status-402", image_id="b-0")
        place.now_s = 1600.0
        assert place.worker.num_slots == 0


@pytest.mark.parametrize("version", ["v", ""])
async def test_a_cancelled_picture_is_stopped_there_and_counts_as_spent(
    server: CogServer, database: Database, helper: AskedWorker, version: str
) -> None:
    async with Place(server, database, (helper,), version=version) as place:
        await place.worker.admit(order("slow no-predict-time"))
        await server.has_begun.wait()
        assert await place.books.fetch_committed() == PRICE
        await place.worker.cancel(Cancel(image_id="a-0", attempt=1))
        end = await place.end()
        assert isinstance(end, Cancelled) and end.evaluations == a_spec().num_evaluations
        assert server.stopped == list(server.predictions)
        assert (await place.books.fetch_spending(since=LONG_AGO)).spent == PRICE


async def test_one_that_takes_too_long_is_stopped_and_painted_here(
    server: CogServer, database: Database, helper: AskedWorker
) -> None:
    async with Place(server, database, (helper,), timeout_s=0.05) as place:
        assert not is_from_cloud(await place.paint("slow no-predict-time"))
        assert server.stopped == ["p0"] and len(server.begun) == 1
        assert await place.books.fetch_committed() == PRICE


async def test_an_answer_that_never_comes_is_spent_and_not_asked_for_again(
    server: CogServer, database: Database, helper: AskedWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_CALL_S", 0.05)
    async with Place(server, database, (helper,)) as place:
        assert not is_from_cloud(await place.paint("stay-silent"))
        assert len(server.begun) == 1 and await place.books.fetch_committed() == PRICE


async def test_after_a_restart_it_is_asked_about_and_not_paid_for_again(
    server: CogServer, database: Database, helper: AskedWorker
) -> None:
    async with Place(server, database, (helper,)) as before:
        await before.worker.admit(order("slow"))
        await server.was_asked.wait()
    server.predictions["p0"]["status"] = "succeeded"
    async with Place(server, database, (helper,)) as place:
        assert is_from_cloud(await place.paint("slow", attempt=2))
        assert len(server.begun) == 1 and await place.books.fetch_committed() == PRICE
        assert not is_from_cloud(await place.paint("slow", attempt=3)), "what was paid for once is painted here"
        assert len(server.begun) == 1


async def test_a_restart_before_its_id_was_known_costs_the_price_and_no_second(
    server: CogServer, database: Database, helper: AskedWorker
) -> None:
    async with Place(server, database, (helper,), version="") as before:
        await before.worker.admit(order("slow"))
        await server.has_begun.wait()
    async with Place(server, database, (helper,), version="") as place:
        assert not is_from_cloud(await place.paint("slow", attempt=2))
        assert len(server.begun) == 1 and await place.books.fetch_committed() == PRICE


async def test_when_the_month_is_spent_it_takes_nothing_more(
    server: CogServer, database: Database, helper: AskedWorker
) -> None:
    async with Place(server, database, (helper,), budget=2 * PRICE) as place:
        assert place.worker.num_slots == 2
        for index in range(3):
            await place.worker.admit(order("a cat", image_id=f"a-{index}"))
        ends = [await place.end() for _ in range(3)]
        assert sorted(map(is_from_cloud, ends)) == [False, True, True], "the third is painted here"
        assert place.worker.num_slots == 0 and len(server.begun) == 2


async def test_an_unreachable_server_costs_nothing(database: Database, helper: AskedWorker) -> None:
    async with serve_cog() as server:
        gone = Place(server, database, (helper,))
    async with gone as place:
        assert not is_from_cloud(await place.paint("a cat"))
        assert await place.books.fetch_committed() == 0


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        ("https://replicate.delivery/a.png", False),
        ("https://api.example.org/a.png", True),
        ("https://a.replicate.delivery/a.png", None),
        ("http://replicate.delivery/a.png", None),
        ("https://replicate.delivery:8443/a.png", None),
        ("https://replicate.delivery@evil.example/a.png", None),
        ("https://api.example.org:8443/a.png", None),
        ("http://api.example.org/a.png", None),
        ("file:///etc/passwd", None),
        ("https://[::1", None),
    ],
)
async def test_only_the_servers_own_host_gets_the_token_and_others_have_to_be_named(
    url: str, is_own: bool | None
) -> None:
    settings = CloudSettings(
        url="https://api.example.org/v1", model="m", price=1, budget=1, hosts=frozenset({"replicate.delivery"})
    )
    async with aiohttp.ClientSession() as session:
        found = api.PredictionApi(settings, session)
        if is_own is None:
            with pytest.raises(api.CloudError, match="not allowed"):
                await found.fetch_picture([url])
        else:
            assert found._require_known(url) is is_own
