"""A release is cut by a program: the version is the same everywhere, the changelog gets a date, nothing is lost."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import pytest
import yaml

import cli
import discord_sandbox

ROOT = Path(__file__).resolve().parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "release.yml"
_spec = importlib.util.spec_from_file_location("release", ROOT / "tools" / "release.py")
assert _spec is not None and _spec.loader is not None
release: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(release)
NEXT = "9.1.0"


def git(tree: Path, *words: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", str(tree), *who, *words], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A git checkout of the files that a release changes or reads."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    for name in (*release.PLACES, release.CHANGELOG, release.NOTES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    return tmp_path


def commit(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--message", "as it is")


def run(tree: Path, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    status = release.main(list(words), tree)
    said = capsys.readouterr()
    return status, said.out, said.err


def test_every_place_says_one_version() -> None:
    assert release.read_version(ROOT) == cli.__version__ == discord_sandbox.__version__
    for name in ("pyproject.toml", "packages/discord_sandbox/pyproject.toml"):
        assert not re.search(r'(?m)^version = "', (ROOT / name).read_text()), "it is read from the program"
    assert 'image.version="${VERSION}"' in (ROOT / "Dockerfile").read_text()
    assert installed_version("atelier-bot") in (cli.__version__, "0.1.0")


def test_what_is_unreleased_becomes_a_version_with_a_date(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (tree / "CHANGELOG.md").read_text()
    status, said, _ = run(tree, "cut", NEXT, "--date", "2027-01-02", capsys=capsys)
    assert status == 0 and f"git push origin HEAD v{NEXT}" in said
    after = (tree / "CHANGELOG.md").read_text()
    assert after.replace(f"\n## [{NEXT}] - 2027-01-02\n", "", 1) == before, "no line is lost or moved"
    assert f"## [Unreleased]\n\n## [{NEXT}] - 2027-01-02\n\n**In short:** " in after
    assert release.read_version(tree) == NEXT
    commit(tree)
    assert run(tree, "check", f"v{NEXT}", capsys=capsys) == (0, f"The tree is {NEXT}.\n", "")


def test_the_text_of_a_tag_survives_git(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tree, "cut", NEXT, capsys=capsys)[0] == 0
    commit(tree)
    notes = run(tree, "notes", NEXT, capsys=capsys)[1]
    assert (
        notes.startswith(f"Atelier {NEXT}\n\n**In short:** ") and "\n### Added\n" in notes and "## [0.1.0]" not in notes
    )
    (tree / "notes").write_text(notes)
    git(tree, "tag", "--annotate", "--cleanup=verbatim", "--file=notes", f"v{NEXT}")
    assert git(tree, "tag", "--list", "--format=%(contents)", f"v{NEXT}").strip() == notes.strip()


def _spoil_nothing(tree: Path) -> None:
    pass


def _leave_a_change(tree: Path) -> None:
    (tree / "mine").write_text("not committed")


def _release_all(tree: Path) -> None:
    text = (tree / "CHANGELOG.md").read_text()
    (tree / "CHANGELOG.md").write_text(
        text.replace("## [Unreleased]\n", "## [Unreleased]\n\n## [0.1.5] - 2026-12-01\n", 1)
    )
    commit(tree)


def _forget_the_notes(tree: Path) -> None:
    (tree / release.NOTES).write_text("# Upgrading\n")
    commit(tree)


def _differ(tree: Path) -> None:
    (tree / release.PLACES[1]).write_text('__version__ = "0.0.9"\n')
    commit(tree)


@pytest.mark.parametrize(
    ("spoil", "version", "says"),
    [
        (_spoil_nothing, "1.0", "1.0 is no version: write three numbers"),
        (_spoil_nothing, "0.0.9", "0.0.9 is not newer than 0.1.0."),
        (_spoil_nothing, "0.1.0", "0.1.0 is not newer than 0.1.0."),
        (_leave_a_change, NEXT, "changes that are not committed: mine."),
        (_release_all, NEXT, "has nothing under ## [Unreleased]."),
        (_forget_the_notes, NEXT, "has no “### From 0.1.0”"),
        (_differ, NEXT, "Places do not say one version"),
    ],
)
def test_what_is_not_fit_is_refused_and_changes_nothing(
    spoil: Any, version: str, says: str, tree: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(tree)
    before = git(tree, "status", "--porcelain"), git(tree, "rev-parse", "HEAD")
    status, said, error = run(tree, "cut", version, capsys=capsys)
    assert (status, said) == (1, "") and says in error and error.count("\n") == 1
    assert (git(tree, "status", "--porcelain"), git(tree, "rev-parse", "HEAD")) == before


def test_a_tag_that_the_tree_does_not_keep_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tree, "check", f"v{NEXT}", capsys=capsys)[2].endswith(f"says {cli.__version__}, not {NEXT}.\n")


def test_each_job_has_the_rights_it_needs_and_every_action_is_pinned() -> None:
    text = WORKFLOW.read_text()
    found = yaml.safe_load(text)
    assert found["permissions"] == {"contents": "read"}
    assert {name: job["permissions"] for name, job in found["jobs"].items()} == {
        "build": {"contents": "read"},
        "image": {"contents": "read", "packages": "write"},
        "publish": {"id-token": "write"},
        "announce": {"contents": "write"},
    }
    used = re.findall(r"uses: (\S+)", text)
    assert used and all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", each) for each in used)
    assert "secrets." not in text and "password:" not in text


@pytest.mark.long
def test_the_parts_are_those_of_the_locks() -> None:
    program = Path(sys.executable).with_name("cyclonedx-py")
    if not program.exists():
        pytest.skip("there is no cyclonedx-py")
    given = {"CYCLONEDX": str(program), "PYTHON": sys.executable, "PATH": "/usr/bin:/bin"}
    done = subprocess.run([ROOT / ".ci" / "sbom"], env=given, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    parts = json.loads(done.stdout)
    named = {part["name"]: part for part in parts["components"]}
    assert parts["metadata"]["component"]["version"] == cli.__version__
    assert {"torch", "discord-py", "fastapi"} <= {re.sub(r"[._]", "-", name) for name in named}
    assert named["aiohttp"]["externalReferences"][0]["hashes"]
    assert "pytest" not in named
