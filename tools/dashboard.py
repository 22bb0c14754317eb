"""Write the Grafana dashboard: `python -m tools.dashboard` makes deploy/grafana/dashboard.json again.

A panel is a line here: its title, unit, and for each of its curves a name and an expression. Rows and places follow.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

FILE = Path(__file__).resolve().parents[1] / "deploy/grafana/dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
WIDTH, HEIGHT = 24, 7
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph, or with `is_stat` one number. `curves`: expressions by the name of their curve."""

    title: str
    unit: str
    curves: dict[str, str]
    is_stat: bool = False
    width: int = 8
    description: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...] = field(default_factory=tuple)


def quantile(q: float, name: str, where: str = "") -> str:
    """Return the quantile of a time, of all its labels together."""
    return f"histogram_quantile({q}, sum by (le) (rate({name}_bucket{where}[$__rate_interval])))"


def rate(name: str, by: str = "") -> str:
    inner = f"rate({name}[$__rate_interval])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def times(name: str) -> dict[str, str]:
    return {"half": quantile(0.5, name), "nine in ten": quantile(0.9, name), "99 in 100": quantile(0.99, name)}


ROWS = (
    Row(
        "Now",
        (
            Panel("Discord", "bool_on_off", {"connected": "atelier_discord_connected"}, is_stat=True, width=4),
            Panel("Workers up", "short", {"up": 'sum(atelier_worker_state{state="up"})'}, is_stat=True, width=4),
            Panel("Waiting", "short", {"pictures": "atelier_queue_images"}, is_stat=True, width=4),
            Panel("Oldest job", "s", {"age": "atelier_oldest_job_seconds"}, is_stat=True, width=4),
            Panel("Problems", "short", {"problems": "atelier_problems"}, is_stat=True, width=4),
            Panel("Disk free", "bytes", {"free": "atelier_storage_free_bytes"}, is_stat=True, width=4),
        ),
    ),
    Row(
        "Pictures",
        (
            Panel(
                "Queue", "short", {"waiting": "atelier_queue_images", "at workers": "atelier_running_images"}, width=8
            ),
            Panel("Ends", "ops", {"{{outcome}}": rate("atelier_images_ended_total", "outcome")}),
            Panel("Accepted", "ops", {"pictures": rate("atelier_images_accepted_total")}),
            Panel("Wait for a worker", "s", times("atelier_queue_wait_seconds")),
            Panel("Until it ends", "s", times("atelier_image_seconds")),
            Panel("Failures", "ops", {"{{error}}": rate("atelier_image_failures_total", "error")}),
        ),
    ),
    Row(
        "Workers",
        (
            Panel("Steps", "ops", {"{{member}}": rate("atelier_steps_total", "member")}),
            Panel(
                "How full forward passes are",
                "percentunit",
                {
                    "{{member}}": f"{rate('atelier_batch_rows_total', 'member')} / "
                    f"{rate('atelier_batch_capacity_rows_total', 'member')}"
                },
            ),
            Panel("Losses", "short", {"{{member}}": "increase(atelier_worker_losses_total[1h])"}),
        ),
    ),
    Row(
        "Discord",
        (
            Panel(
                "Acknowledgement",
                "s",
                times("atelier_acknowledge_seconds"),
                description="Discord takes none after 3 s.",
            ),
            Panel("Answers of the API", "ops", {"{{status}}": rate("atelier_discord_requests_total", "status")}),
            Panel("Rate limits (429)", "ops", {"{{scope}}": rate("atelier_discord_rate_limits_total", "scope")}),
            Panel("Results, by the way they took", "ops", {"{{way}}": rate("atelier_deliveries_total", "way")}),
            Panel("From the end to the post", "s", times("atelier_delivery_seconds")),
            Panel("Heartbeat", "s", {"shard {{shard}}": "atelier_discord_heartbeat_seconds"}),
            Panel("Refusals", "ops", {"{{kind}}": rate("atelier_refusals_total", "kind")}, width=16),
            Panel("Incidents", "short", {"an hour": "increase(atelier_incidents_total[1h])"}),
        ),
    ),
    Row(
        "API and fleet",
        (
            Panel("Answers", "ops", {"{{dialect}} {{status}}": rate("atelier_api_requests_total", "dialect, status")}),
            Panel("Until an answer begins", "s", times("atelier_api_request_seconds")),
            Panel("Requests under way", "short", {"{{dialect}}": "atelier_api_open_requests"}),
            Panel("Fleet", "short", {"{{state}}": "atelier_fleet_state"}),
            Panel("Losses of the fleet", "short", {"an hour": "increase(atelier_fleet_losses_total[1h])"}),
        ),
    ),
    Row(
        "Machine",
        (
            Panel("Event loop lag", "s", times("atelier_loop_lag_seconds")),
            Panel("Database commits", "s", times("atelier_database_commit_seconds")),
            Panel(
                "Writes",
                "ops",
                {
                    "writes": rate("atelier_database_writes_total"),
                    "transactions": rate("atelier_database_commit_seconds_count"),
                    "failures": rate("atelier_database_write_failures_total"),
                },
            ),
            Panel("Memory of the bot", "bytes", {"resident": 'process_resident_memory_bytes{job="atelier"}'}),
            Panel("Processor of the bot", "percentunit", {"cores": rate('process_cpu_seconds_total{job="atelier"}')}),
            Panel(
                "Storage",
                "bytes",
                {"free": "atelier_storage_free_bytes", "database": "atelier_database_size_bytes"},
            ),
        ),
    ),
)


def build_dashboard() -> Json:
    """Return the dashboard as Grafana imports it."""
    datasource = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}
    return {
        "uid": "atelier",
        "title": "Atelier",
        "tags": ["atelier"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "fiscalYearStartMonth": 0,
        "annotations": {"list": []},
        "links": [],
        "templating": {"list": [datasource]},
        "panels": _place(ROWS),
    }


def _place(rows: tuple[Row, ...]) -> list[Json]:
    """Return all panels with their places: from left to right, a new line where one does not fit."""
    numbers, placed, y = count(1), list[Json](), 0
    for row in rows:
        place = {"x": 0, "y": y, "w": WIDTH, "h": 1}
        placed.append({"id": next(numbers), "type": "row", "title": row.title, "collapsed": False, "gridPos": place})
        placed[-1]["panels"] = []
        x, y = 0, y + 1
        for panel in row.panels:
            height = 4 if panel.is_stat else HEIGHT
            if x + panel.width > WIDTH:
                x, y = 0, y + height
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            placed.append(_build_panel(panel, next(numbers)) | {"gridPos": place})
            x += panel.width
        y += height
    return placed


def _build_panel(panel: Panel, number: int) -> Json:
    targets = [
        {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": expression, "legendFormat": name}
        for index, (name, expression) in enumerate(panel.curves.items())
    ]
    options: Json = {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}}
    options["tooltip"] = {"mode": "multi", "sort": "desc"}
    if panel.is_stat:
        options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"}
    return {
        "id": number,
        "type": "stat" if panel.is_stat else "timeseries",
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": options,
    }


def write_dashboard() -> str:
    """Return the file's text."""
    return json.dumps(build_dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(write_dashboard(), encoding="utf-8")
