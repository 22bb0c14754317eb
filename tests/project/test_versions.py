"""Versions with known holes are not used: the lower bounds are those of the security releases."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
REQUIRED = [
    Requirement(each)
    for each in tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
]


@pytest.mark.parametrize(
    ("name", "newest_with_a_hole"),
    [("diffusers", "0.42.0"), ("transformers", "5.2.99"), ("torch", "2.9.99"), ("pillow", "12.2.99")],
)
def test_a_version_with_a_hole_is_not_taken(name: str, newest_with_a_hole: str) -> None:
    (requirement,) = (each for each in REQUIRED if each.name == name)
    assert Version(newest_with_a_hole) not in requirement.specifier
