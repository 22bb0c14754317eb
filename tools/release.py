"""Cut a release: move the changelog's unreleased lines to a version, write that version everywhere, say what to tag.

    python tools/release.py cut 0.2.0     changes the files, and prints what to type next
    python tools/release.py check v0.2.0  whether the tree is what that tag promises; the release workflow begins so
    python tools/release.py notes 0.2.0   the text of the tag and of the release

It never commits, tags or publishes. docs/releasing.md has the whole way.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHANGELOG, NOTES = "CHANGELOG.md", "docs/upgrading.md"
PLACES = ("cli/__init__.py", "packages/discord_sandbox/discord_sandbox/__init__.py")
"""Where a distribution says its version. Wheels, the image and `--version` read it from there."""
UNRELEASED = "## [Unreleased]"
_VERSION = re.compile(r"\d+\.\d+\.\d+")
_STATED = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_RELEASED = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


class ReleaseError(Exception):
    """What is in the way, as one sentence."""


def main(words: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("cut", "check", "notes"))
    parser.add_argument("version", help="0.2.0, or v0.2.0 as the tag is called")
    parser.add_argument("--date", type=date.fromisoformat, default=datetime.now(UTC).date(), help="of the release")
    given = parser.parse_args(words)
    version = given.version.removeprefix("v")
    try:
        for line in run(given.action, version, given.date, root):
            sys.stdout.write(f"{line}\n")
    except ReleaseError as wrong:
        sys.stderr.write(f"release: {wrong}\n")
        return 1
    return 0


def run(action: str, version: str, on: date, root: Path) -> Iterator[str]:
    if not _VERSION.fullmatch(version):
        raise ReleaseError(f"{version} is no version: write three numbers, such as 0.2.0.")
    if action == "cut":
        cut(version, on, root)
        yield f"{version} is written. Look at `git diff`, then type:"
        yield f'  git commit --all --message "release: {version}"'
        yield f"  python tools/release.py notes {version} | git tag --annotate --cleanup=verbatim --file=- v{version}"
        yield f"  git push origin HEAD v{version}"
    elif action == "check":
        check(version, root)
        yield f"The tree is {version}."
    else:
        yield build_notes(version, root)


def cut(version: str, on: date, root: Path) -> None:
    """Write the version and the date into the changelog and every place. Raise `ReleaseError`, with nothing changed."""
    require_clean(root)
    text, before = read(root, CHANGELOG), read_version(root)
    if _number(version) < _number(before) or version in dict(_RELEASED.findall(text)):
        raise ReleaseError(f"{version} is not newer than {before}.")
    if not re.search(r"^- ", find_section(text, UNRELEASED), re.MULTILINE):
        raise ReleaseError(f"{CHANGELOG} has nothing under {UNRELEASED}.")
    newest = max(dict(_RELEASED.findall(text)), key=_number, default=None)
    if newest is not None and f"### From {newest}\n" not in read(root, NOTES):
        raise ReleaseError(f"{NOTES} has no “### From {newest}”: say there what an upgrade asks of people.")
    write(root, CHANGELOG, text.replace(f"{UNRELEASED}\n", f"{UNRELEASED}\n\n## [{version}] - {on}\n", 1))
    for place in PLACES:
        write(root, place, _STATED.sub(f'__version__ = "{version}"', read(root, place)))


def check(version: str, root: Path) -> None:
    """Raise `ReleaseError` unless the tree is that version, everywhere, with its lines in the changelog."""
    require_clean(root)
    for place in PLACES:
        if (stated := _STATED.search(read(root, place))) is None or stated[1] != version:
            raise ReleaseError(f"{place} says {stated[1] if stated else 'no version'}, not {version}.")
    build_notes(version, root)


def build_notes(version: str, root: Path) -> str:
    """Return the text of a tag: a line that names it, and what the changelog says of it."""
    text = read(root, CHANGELOG)
    if version not in dict(_RELEASED.findall(text)):
        raise ReleaseError(
            f"{CHANGELOG} has no lines for {version}: `python tools/release.py cut {version}` moves them."
        )
    body = find_section(text, f"## [{version}]").partition("\n")[2].strip()
    return f"Atelier {version}\n\n{body}\n\nHow to upgrade: {NOTES}"


def find_section(text: str, heading: str) -> str:
    """Return what is from a heading to the next of its rank. Raise `ReleaseError` if it is not there."""
    begin = text.find(f"\n{heading}")
    if begin < 0:
        raise ReleaseError(f"{CHANGELOG} has no heading {heading}.")
    end = text.find("\n## ", begin + 1)
    return text[begin + 1 : end if end >= 0 else len(text)]


def read_version(root: Path) -> str:
    """Return the version of the tree. Raise `ReleaseError` if two places differ."""
    stated = {place: _STATED.findall(read(root, place)) for place in PLACES}
    if len(versions := {each for found in stated.values() for each in found}) != 1:
        raise ReleaseError(f"Places do not say one version: {stated}.")
    return versions.pop()


def require_clean(root: Path) -> None:
    """Raise `ReleaseError` if git does not know all of the tree: what is tagged must be what is built."""
    asked = ("git", "-C", str(root), "status", "--porcelain")
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"{root} is no git checkout ({done.stderr.strip()}).")
    if done.stdout.strip():
        raise ReleaseError(f"The tree has changes that are not committed: {done.stdout.split()[1]}.")


def read(root: Path, name: str) -> str:
    return (root / name).read_text(encoding="utf-8")


def write(root: Path, name: str, text: str) -> None:
    (root / name).write_text(text, encoding="utf-8")


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


if __name__ == "__main__":
    raise SystemExit(main())
