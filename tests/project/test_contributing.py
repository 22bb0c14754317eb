"""The workflow, the forms, pre-commit and the changelog have the format that their readers expect."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from cli import __version__
from tests.project.test_versions import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_ends(path: Path) -> None:
    """What a release may write is in `test_release.py`."""
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        assert "permissions" not in job or path.name == "release.yml", name
        assert int(job["timeout-minutes"]) <= 60, name
        for step in job["steps"]:
            assert re.fullmatch(r"actions/[\w-]+@v\d+|[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", "actions/x@v1")), (
                step
            )
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false"


def test_the_workflow_runs_the_contributors_commands_on_both_pythons() -> None:
    jobs = read(GITHUB / "workflows" / "ci.yml")["jobs"]
    assert jobs["test"]["strategy"]["matrix"]["python"] == ["3.11", "3.13"]
    said = {name: "\n".join(step.get("run", "") for step in job["steps"]) for name, job in jobs.items()}
    assert ".ci/run" in said["test"] and "make sandbox" in said["sandbox"]
    assert "build --wheel" in said["wheel"]
    image = read(GITHUB / "workflows" / "image.yml")["jobs"]["image"]
    assert "docker build" in str(image["steps"]) and ".ci/smoke-test-image" in str(image["steps"])
    assert "make coverage" in said["test"]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "make check" in ci and "make test" in ci
    assert "-m " not in ci and ci.count("--ignore") == ci.count("--ignore tests/project"), "all of the tests"


def test_pre_commit_checks_with_the_pinned_ruff() -> None:
    repos = {repo["repo"].rpartition("/")[2]: repo for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]}
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert repos["ruff-pre-commit"]["rev"] == f"v{pins['ruff']}"


def test_every_form_asks_for_what_is_needed() -> None:
    for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml"):
        form = read(path)
        if path.name != "config.yml":
            assert {"name", "description", "body"} <= form.keys()
            assert any(each.get("validations", {}).get("required") == "true" for each in form["body"]), path.name


def test_the_changelog_is_by_release() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    first, *releases = re.findall(r"^## (.*)$", text, re.M)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", each) for each in releases)
    assert releases[0].startswith(f"[{__version__}] - ")
    assert set(re.findall(r"^### (.*)$", text, re.M)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }
