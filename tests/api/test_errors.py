"""Every named error has a status and a sentence; one without a name says nothing of itself."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from pathlib import Path

import pytest

import api
from api.errors import UNFORESEEN, ApiError, build_reply, write_plain
from generation.errors import AtelierError, ConfigurationError, FailedError, RefusedError, TooFastError, iterate_classes
from generation.metrics import REGISTRY
from tests.api.harness import Api


def test_every_refusal_has_a_status_of_its_own() -> None:
    for module in pkgutil.walk_packages(api.__path__, "api."):
        import_module(module.name)
    kinds = [*iterate_classes(RefusedError)]
    assert len(kinds) > 150
    for kind in kinds:
        reply = build_reply(kind())  # its details are unknown here: the sentence stands as it is
        assert 400 <= reply.status < 500 or reply.status in (503, 504), kind
        assert reply.code == reply.code.lower() and " " not in reply.code, kind
    for kind in iterate_classes(FailedError):
        assert build_reply(kind()).status in (400, 500), kind


@pytest.mark.parametrize(
    "error", [ValueError("secret"), ConfigurationError(problem="secret", remedy=""), AtelierError()]
)
def test_what_has_no_name_says_nothing(error: Exception) -> None:
    reply = build_reply(error)
    assert (reply.status, reply.message, reply.code) == (500, UNFORESEEN, "internal_error")


def test_when_to_try_again_is_said() -> None:
    assert build_reply(TooFastError(limit=1, unit="request", wait_s=7)).wait_s == 7


def test_what_only_discord_shows_is_written_as_people_read_it() -> None:
    said = "until <t:1764374400:f> in <#12>, <@&34>: **no**"
    assert write_plain(said) == "until 2025-11-29 00:00 UTC in 12, 34: no"


def test_each_error_of_the_api_is_documented() -> None:
    docs = Path(__file__).resolve().parents[2] / "docs"
    page = "".join((docs / name).read_text(encoding="utf-8") for name in ("api.md", "web.md"))
    rows = {f"| {build_reply(kind()).status} | `{build_reply(kind()).code}` |" for kind in iterate_classes(ApiError)}
    assert [row for row in rows - {f"| 400 | `{build_reply(ApiError()).code}` |"} if row not in page] == []


async def test_refusals_are_counted_by_kind_at_the_gate_and_behind_it(api: Api) -> None:
    def count(kind: str) -> float:
        return REGISTRY.get_sample_value("atelier_refusals_total", {"kind": kind}) or 0.0

    before = {kind: count(kind) for kind in ("NoKey", "UnknownModel")}
    without = await api.with_key(None)
    assert (await without.get("/v1/models")).status_code == 401
    client = await api.client()
    asked = await client.post("/v1/images/generations", json={"prompt": "a circle", "model": "none-of-ours"})
    assert 400 <= asked.status_code < 500
    kinds = {kind for kind in before if count(kind) == before[kind] + 1}
    assert kinds == set(before)
