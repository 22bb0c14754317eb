"""What the API counts of itself: by dialect, and never by key, server or address."""

from __future__ import annotations

import pytest
from starlette.types import Message

from api.app import DIALECTS
from api.counting import count_request
from api.web.routes import WEB
from generation.metrics import REGISTRY
from tests.api.harness import ADA, Api


def value_of(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def num_requests(dialect: str, status: str) -> float:
    return value_of("atelier_api_requests_total", dialect=dialect, status=status)


async def test_answers_are_counted_by_dialect_and_class(api: Api) -> None:
    stranger, client = await api.with_key(None), await api.client(ADA)
    asked = [
        (client, "/v1/models", "openai", "2xx"),
        (client, "/sdapi/v1/samplers", "a1111", "2xx"),
        (client, "/api/v1/jobs/none", "jobs", "4xx"),
        (stranger, "/v1/models", "openai", "4xx"),
        (stranger, "/", "none", "4xx"),
        (stranger, "/openapi.json", "none", "2xx"),
    ]
    for sender, path, dialect, status in asked:
        before = num_requests(dialect, status)
        timed = value_of("atelier_api_request_seconds_count", dialect=dialect)
        await sender.get(path)
        assert num_requests(dialect, status) == before + 1, path
        assert value_of("atelier_api_request_seconds_count", dialect=dialect) == timed + 1
        assert value_of("atelier_api_open_requests", dialect=dialect) == 0
    assert {each.name for each in (*DIALECTS, WEB)} == {"openai", "a1111", "jobs", "pages"}


@pytest.mark.parametrize(
    ("raised", "answered", "status"),
    [(RuntimeError, False, "5xx"), (KeyboardInterrupt, False, "lost"), (RuntimeError, True, "2xx")],
)
async def test_what_is_not_answered_is_counted_too(raised: type[BaseException], answered: bool, status: str) -> None:
    async def send(message: Message) -> None:
        assert value_of("atelier_api_open_requests", dialect="jobs") == 1

    before = num_requests("jobs", status)
    with pytest.raises(raised), count_request("jobs", send) as counted:
        if answered:
            await counted({"type": "http.response.start", "status": 200})
        raise raised
    assert num_requests("jobs", status) == before + 1
    assert value_of("atelier_api_open_requests", dialect="jobs") == 0
