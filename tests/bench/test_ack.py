"""`bench ack`, small: the whole program under a little load, and the figures it computes."""

from __future__ import annotations

import pytest

from bench._load import Calls, _most_within
from bench.ack import TO_BE_ZERO, Plan, measure_atelier, percentile
from discord_sandbox.journal import RestCall


async def test_a_little_load_is_accepted_by_the_rules() -> None:
    figures = await measure_atelier(Plan(rate=4, guilds=3, seconds=2))
    assert figures["requests"] == figures["accepted"] + figures["refused"] == 8
    assert not [name for name in TO_BE_ZERO if figures[name]]
    assert 0 < figures["ack_p50_ms"] <= figures["ack_p99_ms"] < figures["queued_p99_ms"]
    assert figures["edits_per_s"] > 0
    assert figures["edits_most"] <= 5, "a webhook's limit"
    assert figures["bot_cpu_ms"] > 0


@pytest.mark.parametrize(
    ("times", "most"), [([], 0), ([1.0], 1), ([0, 1, 2, 5.5, 6], 3), ([0, 5, 10], 1), ([0, 4.9], 2)]
)
def test_the_fullest_five_seconds_are_found(times: list[float], most: int) -> None:
    assert _most_within(times, 5.0) == most


def test_calls_are_counted_against_the_limit_they_fall_under() -> None:
    calls = Calls()
    for number, path in enumerate(("/webhooks/1/a/messages/@original", "/webhooks/1/b", "/interactions/1/a/callback")):
        calls.note(RestCall(number, 0.0, "PATCH", path, path))
    for number in range(3):
        calls.note(RestCall(number, 0.5, "POST", "", "/channels/1/messages"))
    assert (calls.edits, calls.most_edits, calls.most_others) == (2, 1, 3)


def test_percentiles_are_values_that_occurred() -> None:
    assert [percentile([3.0, 1.0, 2.0], rank) for rank in (0, 50, 99)] == [1.0, 2.0, 3.0]
    assert percentile([], 50) == 0.0
