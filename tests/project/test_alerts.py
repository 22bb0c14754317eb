"""Each alert is made to fire by Prometheus' own `promtool`, and rests where all is well; and each is explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project.test_monitoring import list_metrics, named
from tests.project.test_versions import ROOT

RULES = ROOT / "deploy/prometheus/rules.yml"
LIMITS = ("0.01", "0.5", "2", "300", "3600", "+Inf")
"""Bounds of the buckets of times here: all rules ask for a quantile between two of them."""


def times(name: str, low: int, high: int, **labels: str) -> dict[str, str]:
    """Return a histogram of which `low` samples a minute are in the first bucket, and `high` in the one before last."""
    counts = [low] * (len(LIMITS) - 2) + [low + high] * 2
    return {
        series(f"{name}_bucket", le=limit, **labels): f"0+{count}x120"
        for limit, count in zip(LIMITS, counts, strict=True)
    }


def series(name: str, **labels: str) -> str:
    inner = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return f"{name}{{{inner}}}"


def worker(member: str, state: str, since: int = 0) -> dict[str, str]:
    """Return the states of a worker that is up until minute `since`, and in `state` from then on."""
    states = {each: f"{int(each == 'up')}x{since} {int(each == state)}x120" for each in ("up", "starting", "draining")}
    return {series("atelier_worker_state", member=member, state=each): values for each, values in states.items()}


UP = series("up", job="atelier")
STARTED, ENDED = "atelier_images_started_total", "atelier_images_ended_total"
REQUESTS = "atelier_discord_requests_total"
# alert -> (series in which it fires, series in which it does not)
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "AtelierDown": ({UP: "0x120"}, {UP: "1x120"}),
    "AtelierDiscordLost": ({"atelier_discord_connected": "0x120"}, {"atelier_discord_connected": "1x50 0x2 1x120"}),
    "AtelierNoWorker": (worker("a", "starting") | {UP: "1x120"}, worker("a", "up") | worker("b", "starting")),
    "AtelierWorkerDown": (worker("a", "starting", since=5), worker("a", "draining", since=5)),
    "AtelierWorkerLostOften": (
        {series("atelier_worker_losses_total", member="a"): "0x30 4x90"},
        {series("atelier_worker_losses_total", member="a"): "0x30 1x90"},
    ),
    "AtelierFleetLost": (
        {series("atelier_fleet_state", state="lost"): "0x20 1x120"},
        {series("atelier_fleet_state", state="lost"): "0x55 1x3 0x120"},
    ),
    "AtelierQueueStands": (
        {"atelier_queue_images": "3x120", "atelier_paused": "0x120", STARTED: "7x120"},
        {"atelier_queue_images": "3x120", "atelier_paused": "1x120", STARTED: "7x120"},
    ),
    "AtelierQueueLong": (
        times("atelier_queue_wait_seconds", 1, 9, outcome="done"),
        times("atelier_queue_wait_seconds", 19, 1, outcome="done"),
    ),
    "AtelierPicturesFail": (
        {series(ENDED, outcome="failed"): "0+2x120", series(ENDED, outcome="done"): "0+8x120"},
        {series(ENDED, outcome="failed"): "0+1x120", series(ENDED, outcome="done"): "0+30x120"},
    ),
    "AtelierAnswersLate": (times("atelier_acknowledge_seconds", 9, 1), times("atelier_acknowledge_seconds", 200, 1)),
    "AtelierLoopStuck": ({"atelier_loop_stalls_total": "0x55 1x65"}, {"atelier_loop_stalls_total": "2x120"}),
    "AtelierLoopLate": (times("atelier_loop_lag_seconds", 9, 1), times("atelier_loop_lag_seconds", 200, 1)),
    "AtelierStorageRefusesWrites": ({"atelier_stuck_writes": "1x120"}, {"atelier_stuck_writes": "0x120"}),
    "AtelierDiskFull": (
        {"atelier_storage_free_bytes": "4e9x120", "atelier_storage_size_bytes": "1e12x120"},
        {"atelier_storage_free_bytes": "4e11x120", "atelier_storage_size_bytes": "1e12x120"},
    ),
    "AtelierCommitsSlow": (
        times("atelier_database_commit_seconds", 8, 2),
        times("atelier_database_commit_seconds", 99, 1),
    ),
    "AtelierRateLimited": (
        {series("atelier_discord_rate_limits_total", scope="shared"): "0+90x120"},
        {series("atelier_discord_rate_limits_total", scope="shared"): "0+5x120"},
    ),
    "AtelierDiscordRefuses": (
        {series(REQUESTS, status="lost"): "0+5x120", series(REQUESTS, status="2xx"): "0+10x120"},
        {series(REQUESTS, status="4xx"): "0+5x120", series(REQUESTS, status="2xx"): "0+10x120"},
    ),
    "AtelierResultsKept": (
        {series("atelier_deliveries_total", way="history"): "0x20 20x100"},
        {series("atelier_deliveries_total", way="new-message"): "0x20 20x100"},
    ),
    "AtelierIncidents": ({"atelier_incidents_total": "0x30 1x90"}, {"atelier_incidents_total": "3x120"}),
    "AtelierProblem": ({"atelier_problems": "2x120"}, {"atelier_problems": "0x120"}),
}


def list_rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    rules: list[dict[str, Any]] = group["rules"]
    return rules


def build_test(values: dict[str, str], alert: str, firing: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a test of promtool: these series, and what of the alert fires after an hour."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": each} for name, each in values.items()],
        "alert_rule_test": [{"eval_time": "61m", "alertname": alert, "exp_alerts": firing}],
    }


def find_labels(rule: dict[str, Any]) -> dict[str, str]:
    """Return the labels that a firing alert has beside its severity, in the series above."""
    of_series = {
        "AtelierDown": {"job": "atelier"},
        "AtelierWorkerDown": {"member": "a", "state": "up"},
        "AtelierWorkerLostOften": {"member": "a"},
        "AtelierFleetLost": {"state": "lost"},
        "AtelierResultsKept": {"way": "history"},
    }
    return {**rule["labels"], **of_series.get(rule["alert"], {})}


def test_every_alert_fires_and_rests(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: the package prometheus), so no alert was made to fire")
    tests = []
    for rule in list_rules():
        fires, rests = CASES[rule["alert"]]
        labels = find_labels(rule)
        text = rule["annotations"]["summary"].replace("{{ $labels.member }}", "a")
        firing = [{"exp_labels": labels, "exp_annotations": {"summary": text}}]
        tests += [build_test(fires, rule["alert"], firing), build_test(rests, rule["alert"], [])]
    file = tmp_path / "alerts.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    said = subprocess.run([promtool, "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    config = subprocess.run(
        [promtool, "check", "config", str(RULES.parent / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert config.returncode == 0, config.stdout + config.stderr


def test_every_alert_has_a_case_and_a_remedy_on_the_page() -> None:
    alerts = [rule["alert"] for rule in list_rules()]
    assert sorted(alerts) == sorted(CASES)
    page = (ROOT / "docs/monitoring.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(Atelier\w+)` \|", page, re.M) == alerts


async def test_the_rules_name_only_metrics_that_exist(tmp_path: Path) -> None:
    expressions = "\n".join(rule["expr"] for rule in list_rules())
    assert set(named(expressions)) <= await list_metrics(tmp_path)
