"""Which Atelier this is, for machines that must all run the same."""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from generation.fleet.messages import Version

_ROOT = Path(__file__).resolve().parents[2]
_LIBRARIES = ("ray", "torch", "diffusers", "transformers")


@cache
def find_version() -> Version:
    """Return the version of this program: its number as installed, and a digest of the source of `generation`."""
    digest = hashlib.sha256()
    for path in sorted((_ROOT / "generation").rglob("*.py")):
        digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return Version(_find_number("atelier-bot"), digest.hexdigest()[:12])


def describe_difference(machine: str, theirs: Version, ours: Version) -> str:
    """Return what to tell where a machine runs another version than the bot; empty if it is the same."""
    if theirs.code == ours.code:
        return ""
    said = [f"{each.program} (code {each.code})" for each in (theirs, ours)]
    return f"{machine} runs Atelier {said[0]} and the bot {said[1]}: update the older and join again."


def list_libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that matter to a fleet, without importing them."""
    found = {"python": sys.version.split()[0]}
    return found | {name: _find_number(name) for name in _LIBRARIES}


def _find_number(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "none"
