"""What is counted has names as Prometheus wants them, and labels that name no one."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client import Histogram
from prometheus_client.exposition import generate_latest

from generation import metrics
from generation.errors import FailedError, OutOfMemoryError
from generation.jobs.delivery import DeliveryWay
from generation.jobs.job import Status

LABELS = {"outcome", "way", "error", "member", "kind", "status", "scope", "shard", "dialect", "state", "le"}
"""The values of each are a short list of the program's or its operator's."""
NUMBERS = "atelier_api_open_requests", "atelier_fleet_state"
UNITS = ("_total", "_seconds", "_bytes", "_info")


def families() -> list[tuple[str, str]]:
    return [(family.name, family.type) for family in metrics.REGISTRY.collect()]


def test_names_begin_with_the_program_and_end_with_a_base_unit() -> None:
    for name, kind in families():
        assert name.startswith("atelier_"), name
        assert kind == "counter" or name.endswith(UNITS) or name in NUMBERS, name


def test_no_label_but_those_that_are_allowed() -> None:
    metrics.count_end("done", wait_s=1, whole_s=2, error=None)
    metrics.count_step("cpu", 1, rows=1, capacity=4)
    metrics.count_answer(200, 0.1, scope=None)
    used = {label for family in metrics.REGISTRY.collect() for sample in family.samples for label in sample.labels}
    assert used <= LABELS, used - LABELS


def test_values_that_are_known_are_there_from_the_start() -> None:
    assert set(metrics.KNOWN[metrics.IMAGES_ENDED]) == {str(each) for each in Status if each.is_end}
    assert set(metrics.KNOWN[metrics.DELIVERIES]) == {str(each) for each in DeliveryWay}
    for counter, values in metrics.KNOWN.items():
        [family] = counter.collect()
        assert set(values) <= {value for sample in family.samples for value in sample.labels.values()}


def value_of(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("error", "known"), [("OutOfMemory", OutOfMemoryError.code), ("a prompt, by mistake", FailedError.code)]
)
def test_a_failure_of_no_known_kind_is_counted_as_any(error: str, known: str) -> None:
    before = value_of("atelier_image_failures_total", error=known)
    metrics.count_end("failed", wait_s=1, whole_s=2, error=error)
    assert value_of("atelier_image_failures_total", error=known) == before + 1
    assert "by mistake" not in generate_latest(metrics.REGISTRY).decode()


@pytest.mark.parametrize(
    ("status", "name"), [(200, "2xx"), (204, "2xx"), (404, "4xx"), (429, "429"), (503, "5xx"), (None, "lost")]
)
def test_answers_of_discord_are_counted_by_class(status: int | None, name: str) -> None:
    before = value_of("atelier_discord_requests_total", status=name)
    metrics.count_answer(status, 0.1, scope=None)
    assert value_of("atelier_discord_requests_total", status=name) == before + 1


def test_a_limit_of_a_scope_that_discord_does_not_have_is_unknown() -> None:
    before = value_of("atelier_discord_rate_limits_total", scope="unknown")
    metrics.count_answer(429, 0.1, scope="what a proxy invents")
    assert value_of("atelier_discord_rate_limits_total", scope="unknown") == before + 1
    metrics.count_answer(429, 0.1, scope="shared")
    assert value_of("atelier_discord_rate_limits_total", scope="shared") >= 1


def test_a_fleet_is_in_one_state() -> None:
    metrics.note_fleet(is_connected=True)
    assert (value_of("atelier_fleet_state", state="connected"), value_of("atelier_fleet_state", state="lost")) == (1, 0)
    metrics.note_fleet(is_connected=False)
    assert (value_of("atelier_fleet_state", state="connected"), value_of("atelier_fleet_state", state="lost")) == (0, 1)


def test_the_bounds_of_times_are_sorted_and_few() -> None:
    times = [each for each in vars(metrics).values() if isinstance(each, Histogram)]
    assert times
    for each in times:
        assert list(each._upper_bounds) == sorted(each._upper_bounds)
        assert len(each._upper_bounds) <= 15


def test_promtool_finds_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: the package prometheus)")
    said = subprocess.run(
        [promtool, "check", "metrics"], input=generate_latest(metrics.REGISTRY), capture_output=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")
