"""Versions with known security holes are not used: the lower bounds are those of the security releases."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
REQUIRED = [Requirement(each) for each in PROJECT["dependencies"]]


@pytest.mark.parametrize(
    ("name", "newest_with_a_hole"),
    [("diffusers", "0.42.0"), ("transformers", "5.2.99"), ("torch", "2.9.99"), ("pillow", "12.2.99")],
)
def test_a_version_with_a_hole_is_not_taken(name: str, newest_with_a_hole: str) -> None:
    (requirement,) = (each for each in REQUIRED if each.name == name)
    assert Version(newest_with_a_hole) not in requirement.specifier


def test_every_pinned_file_has_its_hash_in_one_lock_but_those_of_torch() -> None:
    pins = dict(line.split("==") for line in _lines("constraints.txt"))
    locks = [_locked(name) for name in ("requirements.lock", "requirements-extras.lock", "requirements-dev.lock")]
    hashed = {name: pinned for each in locks for name, pinned in each.items()}
    assert len(hashed) == sum(map(len, locks))
    assert {canonicalize_name(name): version for name, version in pins.items() if name != "torch"} == {
        name: version for name, (version, _) in hashed.items()
    }
    assert all(hashes and all(len(each) == 64 for each in hashes) for _, hashes in hashed.values())


def test_the_image_has_every_extra_but_those_of_developers() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [Requirement(each) for name, needs in extras.items() if name not in ("dev", "sandbox") for each in needs]
    locked = _locked("requirements.lock") | _locked("requirements-extras.lock")
    assert {canonicalize_name(each.name) for each in wanted} <= locked.keys()


def test_torch_for_cards_is_the_same_torch() -> None:
    pins = dict(line.split("==") for line in _lines("constraints.txt"))
    cuda = _locked("requirements-cuda.lock")
    assert cuda["torch"][0] == pins["torch"]
    assert not cuda.keys() & {canonicalize_name(name) for name in pins if name != "torch"}


def test_every_requirement_is_locked() -> None:
    locked = _locked("requirements.lock")
    assert {canonicalize_name(each.name) for each in REQUIRED} - {"torch"} <= locked.keys()
    for each in REQUIRED:
        name = canonicalize_name(each.name)
        assert name == "torch" or locked[name][0] in each.specifier


def _lines(name: str) -> list[str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _locked(name: str) -> dict[str, tuple[str, list[str]]]:
    """Version and SHA-256 hashes by canonical name."""
    whole = "\n".join(_lines(name)).replace("\\\n", " ")
    packages = [line.split() for line in whole.splitlines()]
    return {
        canonicalize_name(pin.split("==")[0]): (
            pin.split("==")[1],
            [each.removeprefix("--hash=sha256:") for each in hashes if each.startswith("--hash=")],  # no markers
        )
        for pin, *hashes in packages
    }
