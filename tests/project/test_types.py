"""mypy reads the tests: what it is told to check, it finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from mypy.main import process_options

from tests.project.test_versions import ROOT

WILD = ROOT / "tests" / "generation" / "images" / "wild"


def test_every_test_is_among_what_mypy_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that it cannot find, or finds elsewhere, it leaves out without a word."""
    monkeypatch.chdir(ROOT)
    sources, _ = process_options([])
    found = {Path(each.path).resolve() for each in sources if each.path}
    tests = {path.resolve() for path in (ROOT / "tests").rglob("*.py") if not path.is_relative_to(WILD)}
    assert tests and tests <= found, sorted(tests - found)
