"""Tests mirror the layout of the code, and the pages name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"


@pytest.mark.parametrize("room", ["generation", "db", "training", "bench"])
def test_every_folder_of_tests_is_a_folder_of_the_source(room: str) -> None:
    tests = [*(TESTS / room).rglob("test_*.py")]
    assert tests
    assert {
        str(path.parent.relative_to(TESTS)) for path in tests if not (ROOT / path.parent.relative_to(TESTS)).is_dir()
    } == set()


def test_the_measured_files_exist() -> None:
    lines = (TESTS / "processor_time.txt").read_text(encoding="utf-8").splitlines()
    assert [path for _, path in map(str.split, lines) if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("**/*.md")), ids=lambda page: page.name)
def test_pages_name_tests_that_exist(page: Path) -> None:
    named = re.findall(r"`((?:tests/)?[\w/]*test_\w+\.py)`", page.read_text(encoding="utf-8"))
    names = {path.name for path in TESTS.rglob("test_*.py")}
    assert [name for name in named if not (ROOT / name).exists() and name not in names] == []
