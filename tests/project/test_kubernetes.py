"""`deploy/kubernetes.yaml` is what Kubernetes and KubeRay take, and its parts fit each other and the program.

The schema is a part of theirs: `tools/kubernetes_schema.py`.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from cli.env_file import PREFIX
from config import Settings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deploy" / "kubernetes.yaml").read_text(encoding="utf-8")
SCHEMAS = json.loads(Path(__file__).with_name("kubernetes-schema.json").read_text(encoding="utf-8"))
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(TEXT))


def named(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in DOCUMENTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def find_wrongs(document: dict[str, Any]) -> list[str]:
    return [each.message for each in Draft202012Validator(SCHEMAS[document["kind"]]).iter_errors(document)]


def pods() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the spec of each pod, under a name."""
    for each in DOCUMENTS:
        name, spec = f"{each['kind']} {each['metadata']['name']}", each.get("spec", {})
        for at, group in enumerate((spec, spec.get("headGroupSpec", {}), *spec.get("workerGroupSpecs", []))):
            if "template" in group:
                yield f"{name} {at}", group["template"]["spec"]


CONTAINERS = [(f"{name} {each['name']}", each) for name, pod in pods() for each in pod["containers"]]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda each: f"{each['kind']} {each['metadata']['name']}")
def test_the_schema_takes_it(document: dict[str, Any]) -> None:
    assert find_wrongs(document) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "rayversion"), "2.60.0"),
        (("spec", "workerGroupSpecs", 0, "replicas"), "two"),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        (("spec", "headGroupSpec", "template", "spec", "containers", 0, "image"), 7),
        (("spec", "headGroupSpec", "template", "spec", "container"), []),
    ],
)
def test_the_schema_refuses_what_kuberay_refuses(path: tuple[Any, ...], value: object) -> None:
    wrong = copy.deepcopy(named("RayCluster", "atelier"))
    place: Any = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert find_wrongs(wrong)
    del wrong["spec"]["workerGroupSpecs"][0]["groupName"]
    assert any("groupName" in each for each in find_wrongs(wrong))


def test_the_bot_asks_the_head_that_there_is_through_a_process_of_its_own_pod() -> None:
    pod = named("StatefulSet", "atelier")["spec"]["template"]["spec"]
    bot, beside = pod["containers"]
    assert pod["shareProcessNamespace"] is True, "Ray drops a driver whose process number it does not find"
    head = f"{named('RayCluster', 'atelier')['metadata']['name']}-head-svc:6379"  # as KubeRay calls it
    assert {"name": "ATELIER_FLEET", "value": head} in bot["env"]
    assert beside["args"][:3] == ["fleet", "join", head] and "--no-cards" in beside["args"]
    shared = [{(each["name"], each["mountPath"]) for each in one["volumeMounts"]} for one in (bot, beside)]
    assert {("ray", "/tmp"), ("shm", "/dev/shm")} <= shared[0] & shared[1]


def test_its_ray_is_that_of_the_image() -> None:
    lock = (ROOT / "requirements-extras.lock").read_text(encoding="utf-8")
    assert f"\nray=={named('RayCluster', 'atelier')['spec']['rayVersion']} " in lock


def test_every_setting_exists_and_no_link_to_a_service_is_taken_for_one() -> None:
    names = {each["name"] for _, one in CONTAINERS for each in one.get("env", ()) if each["name"].startswith(PREFIX)}
    assert {name.removeprefix(PREFIX).removesuffix("_FILE").lower() for name in names} <= Settings.model_fields.keys()
    for name, pod in pods():
        if any(each["image"].startswith("atelier") for each in pod["containers"]):
            assert pod["enableServiceLinks"] is False, name


def test_every_secret_is_one_that_the_first_lines_make() -> None:
    made = set(re.findall(r"--from-file=(\w+)", TEXT))
    used = set(re.findall(r"key: (\w+)", TEXT))
    assert used == made


@pytest.mark.parametrize(("name", "container"), CONTAINERS, ids=[name for name, _ in CONTAINERS])
def test_a_container_may_do_as_little_as_possible(name: str, container: dict[str, Any]) -> None:
    rights = container["securityContext"]
    assert rights["allowPrivilegeEscalation"] is False and rights["capabilities"] == {"drop": ["ALL"]}
    assert "limits" in container["resources"], name


@pytest.mark.parametrize(("name", "pod"), list(pods()), ids=[name for name, _ in pods()])
def test_a_pod_is_an_ordinary_user_and_may_not_ask_the_cluster(name: str, pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True and pod["automountServiceAccountToken"] is False
    volumes = {each["name"] for each in pod.get("volumes", ())} | {"data"}  # of volumeClaimTemplates
    mounts = {each["name"] for one in pod["containers"] for each in one.get("volumeMounts", ())}
    assert mounts <= volumes, name


def test_a_policy_closes_every_pod_to_others() -> None:
    labels = {
        group["metadata"]["labels"]["app.kubernetes.io/name"]
        for each in DOCUMENTS
        for group in (
            each.get("spec", {}).get("template"),
            each.get("spec", {}).get("headGroupSpec", {}).get("template"),
            *(one["template"] for one in each.get("spec", {}).get("workerGroupSpecs", ())),
        )
        if group
    }
    closed = {
        each["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
        for each in DOCUMENTS
        if each["kind"] == "NetworkPolicy" and each["spec"]["policyTypes"] == ["Ingress"]
    }
    assert closed == labels
