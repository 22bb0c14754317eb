"""The compose files: few rights, no secret in them, nothing open to the network, and every file they name is there."""

from __future__ import annotations

import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli.env_file import PREFIX
from config import Settings

ROOT = Path(__file__).resolve().parents[2]
OVERRIDES = {"compose.gpu.yaml", "deploy/compose.postgres.yaml", "deploy/compose.fleet.yaml"}
"""Read together with `compose.yaml`."""
FILES = ["compose.yaml", *sorted(OVERRIDES), "deploy/compose.member.yaml"]
MADE_BY_THE_OPERATOR = {".env", "./models", "./secrets"}


def read(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def services(name: str) -> dict[str, dict[str, Any]]:
    return read(name)["services"]


WHOLE = [(f"{file} {name}", each) for file in FILES for name, each in services(file).items() if "image" in each]
"""Services that are no more than changed elsewhere."""
OURS = [(name, each) for name, each in WHOLE if each["image"].startswith("atelier") and "cap_drop" in each]


def test_there_are_no_others() -> None:
    found = {str(each.relative_to(ROOT)) for folder in (ROOT, ROOT / "deploy") for each in folder.glob("compose*.y*ml")}
    assert found == set(FILES)


@pytest.mark.parametrize(("name", "service"), [each for each in WHOLE if "cap_drop" in each[1]])
def test_it_is_given_no_more_than_it_needs(name: str, service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"] and service["security_opt"] == ["no-new-privileges:true"]
    assert service["restart"] == "unless-stopped"
    assert not {"privileged", "cap_add", "devices", "ipc", "userns_mode"} & service.keys()
    assert "pid" not in service or name == "deploy/compose.fleet.yaml fleet"
    assert "docker.sock" not in str(service)


@pytest.mark.parametrize(("name", "service"), OURS)
def test_the_program_cannot_change_itself(name: str, service: dict[str, Any]) -> None:
    assert service["read_only"] is True and "/tmp" in service["tmpfs"] and service["init"] is True


@pytest.mark.parametrize(("name", "service"), [each for each in WHOLE if not each[1]["image"].startswith("atelier")])
def test_images_of_others_are_named_by_version(name: str, service: dict[str, Any]) -> None:
    """PostgreSQL by its major version, whose data it reads; the others by their bytes."""
    assert re.fullmatch(r"postgres:\d+|[\w/]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", service["image"])


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_open_to_other_machines(file: str) -> None:
    for name, service in services(file).items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        if service.get("network_mode") == "host":  # Ray alone, which is closed by `fleet head` and `fleet join`
            assert file in ("deploy/compose.fleet.yaml", "deploy/compose.member.yaml")
            assert service.get("environment", {}).get("ATELIER_HTTP_HOST", "127.0.0.1") == "127.0.0.1"


@pytest.mark.parametrize("file", FILES)
def test_every_file_that_is_named_is_there(file: str) -> None:
    for path in list_paths(read(file)):  # of all files from the root: docs/containers.md says so
        is_given = any(path == each or path.startswith(f"{each}/") for each in MADE_BY_THE_OPERATOR)
        assert is_given or (ROOT / path).exists(), path


def list_paths(document: dict[str, Any]) -> Iterator[str]:
    for service in document["services"].values():
        yield from (each for each in (service.get("env_file"), service.get("build", {}).get("context")) if each)
        sources = (volume.partition(":")[0] for volume in service.get("volumes", ()))
        yield from (source for source in sources if source.startswith("."))
    yield from (each["file"] for each in document.get("secrets", {}).values())


@pytest.mark.parametrize("file", FILES)
def test_every_volume_secret_and_service_that_is_named_is_declared(file: str) -> None:
    documents = [read(file)] + ([read("compose.yaml")] if file in OVERRIDES else [])
    declared = {kind: {name for each in documents for name in each.get(kind, {})} for kind in ("volumes", "secrets")}
    known = {name for each in documents for name in each["services"]}
    for name, service in services(file).items():
        named = {volume.partition(":")[0] for volume in service.get("volumes", ()) if volume[0] not in "./"}
        assert named <= declared["volumes"], name
        assert set(service.get("secrets", ())) <= declared["secrets"], name
        assert set(service.get("depends_on", ())) <= known, name


@pytest.mark.parametrize("file", FILES)
def test_every_setting_exists_and_no_secret_is_written_down(file: str) -> None:
    for service in services(file).values():
        for name, value in service.get("environment", {}).items():
            assert not re.search(r"(TOKEN|PASSWORD|SECRET|KEY)$", name), "in a file of its own"
            if name.startswith(PREFIX):
                setting = name.removeprefix(PREFIX).lower()
                assert setting in Settings.model_fields or setting.removesuffix("_file") in Settings.model_fields
                assert "://" not in str(value)


@pytest.mark.parametrize("target", re.findall(r"target: (\w+)", "".join((ROOT / each).read_text() for each in FILES)))
def test_every_target_is_in_the_dockerfile(target: str) -> None:
    assert f" AS {target}\n" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


def test_a_database_is_waited_for_until_it_takes_connections() -> None:
    """While it makes the database, the server of the image listens on its socket only."""
    postgres = services("compose.yaml")["postgres"]
    assert "--host=127.0.0.1" in postgres["healthcheck"]["test"]
    wanted = services("deploy/compose.postgres.yaml")["atelier"]["depends_on"]["postgres"]
    assert wanted["condition"] == "service_healthy" and wanted["required"] is True


def test_the_bot_and_the_head_of_a_fleet_see_each_others_processes_and_sockets() -> None:
    """Ray drops a driver whose process number it does not find, without a word."""
    for service in services("deploy/compose.fleet.yaml").values():
        assert service["network_mode"] == service["pid"] == "host" and "ray:/tmp/ray" in service["volumes"]


def test_prometheus_asks_the_bot_and_grafana_finds_prometheus_and_the_dashboard() -> None:
    whole, settings = services("compose.yaml"), ROOT / "deploy" / "grafana" / "provisioning"
    scraped = read("deploy/prometheus/prometheus.yml")["scrape_configs"][0]["static_configs"][0]["targets"]
    assert scraped == [f"atelier:{Settings.model_fields['health_port'].default}"]
    assert whole["atelier"]["environment"]["ATELIER_HTTP_HOST"] == "0.0.0.0"
    [source] = read(str(settings / "datasources" / "prometheus.yml"))["datasources"]
    assert source["url"] == "http://prometheus:9090" and "prometheus" in whole
    [provider] = read(str(settings / "dashboards" / "atelier.yml"))["providers"]
    mounted = {each.split(":")[1] for each in whole["grafana"]["volumes"]}
    home = whole["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home in mounted and home.startswith(provider["options"]["path"] + "/")


def test_the_secrets_are_made_once_and_fit_each_other(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([ROOT / "deploy" / "make-secrets.sh", folder], check=True, capture_output=True)
        found = {each.name: each.read_text() for each in folder.iterdir()}
    again = {each.name: each.read_text() for each in folder.iterdir()}
    assert found == again and stat.S_IMODE(folder.stat().st_mode) == 0o700
    password = found["postgres_password"]
    assert re.fullmatch(r"[0-9a-f]{64}", password) and password != found["grafana_password"]
    assert found["database_url"] == f"postgresql://atelier:{password}@postgres/atelier"
