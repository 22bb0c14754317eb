"""The dashboard is what its program writes, names what exists, and its expressions are PromQL."""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.project.test_monitoring import list_metrics, named
from tests.project.test_versions import ROOT
from tools.dashboard import FILE, WIDTH, write_dashboard


def list_panels() -> list[dict[str, Any]]:
    panels: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["panels"]
    return panels


def list_expressions() -> list[str]:
    return [target["expr"] for panel in list_panels() for target in panel.get("targets", [])]


def test_the_file_is_what_the_program_writes() -> None:
    assert FILE.read_text(encoding="utf-8") == write_dashboard(), "run python -m tools.dashboard"


def list_unknown(given: Any, read: Any, place: str = "") -> list[str]:
    """Return the places of values that are not there, or are others, once Grafana's types have read them."""
    if isinstance(given, dict):
        known = read if isinstance(read, dict) else {}
        return [found for key in given for found in list_unknown(given[key], known.get(key), f"{place}/{key}")]
    if isinstance(given, list) and isinstance(read, list) and len(given) == len(read):
        both = enumerate(zip(given, read, strict=True))
        return [found for number, (one, other) in both for found in list_unknown(one, other, f"{place}/{number}")]
    return [] if given == read else [place]


def read_as_grafana(dashboard: dict[str, Any]) -> Any:
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))


def test_grafana_has_a_type_for_every_value() -> None:
    dashboard = json.loads(write_dashboard())
    assert list_unknown(dashboard, read_as_grafana(dashboard)) == []


@pytest.mark.parametrize(
    ("key", "place"),
    [("gridpos", "/panels/1/gridpos"), ("graphToolTip", "/graphToolTip"), ("legendformat", "/panels/1/targets/0")],
)
def test_a_value_that_grafana_does_not_know_is_found(key: str, place: str) -> None:
    dashboard = json.loads(write_dashboard())
    holder = dashboard["panels"][1] if key == "gridpos" else dashboard
    holder = dashboard["panels"][1]["targets"][0] if key == "legendformat" else holder
    holder[key] = "x"
    assert any(found.startswith(place) for found in list_unknown(dashboard, read_as_grafana(dashboard)))


async def test_it_shows_only_metrics_that_exist(tmp_path: Path) -> None:
    metrics = await list_metrics(tmp_path)
    assert set(named("\n".join(list_expressions()))) <= metrics


def test_no_panel_lies_on_another() -> None:
    cells = [
        {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        for place in (panel["gridPos"] for panel in list_panels())
    ]
    assert not [1 for one, other in combinations(cells, 2) if one & other]
    assert max(x for each in cells for x, _ in each) < WIDTH
    assert len({panel["id"] for panel in list_panels()}) == len(cells)


def test_its_expressions_are_promql(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("there is no promtool (Debian: the package prometheus), so no expression was parsed")
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(list_expressions())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    said = subprocess.run([promtool, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def test_what_provisions_it_can_be_read() -> None:
    folder = FILE.parent / "provisioning"
    [source] = yaml.safe_load((folder / "datasources/prometheus.yml").read_text(encoding="utf-8"))["datasources"]
    [provider] = yaml.safe_load((folder / "dashboards/atelier.yml").read_text(encoding="utf-8"))["providers"]
    assert source["type"] == "prometheus"
    assert provider["options"]["path"].startswith("/etc/grafana")
    assert (ROOT / "deploy/prometheus/rules.yml").exists()
