"""The program that counts the structure of the code finds what it should."""

from __future__ import annotations

import re
from pathlib import Path

from tests.project.test_versions import ROOT
from tools.structure import measure


def test_circles_verbs_and_lengths_are_counted(tmp_path: Path) -> None:
    package = tmp_path / "made"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(
        "from made import two\n\n\ndef fetch_it():\n    return two\n\n\ndef whose():\n    pass\n"
    )
    (package / "two.py").write_text("TYPE_CHECKING = False\nif TYPE_CHECKING:\n    from made.one import fetch_it\n")
    found = measure(package)
    assert set(found.circle) == {"made.one", "made.two"}
    assert (found.num_modules, found.num_functions, found.num_verbs) == (3, 2, 1)
    assert found.longest_file == (9, "made.one")
    assert found.longest_function == (2, "made.one.whose")


def test_no_folder_of_ours_has_a_circle() -> None:
    for name in ("api", "cogs", "generation", "db", "cli", "packages/discord_sandbox/discord_sandbox"):
        assert measure(ROOT / name).circle == (), name


MAX_LINES = 300
LONGER = re.compile(r"^- `([^`]+)` \((\d+)\):", re.MULTILINE)
SOURCE = (
    "bot.py",
    "config.py",
    "alembic",
    "api",
    "bench",
    "cli",
    "cogs",
    "db",
    "generation",
    "packages",
    "tools",
    "training",
)


def list_lengths() -> dict[str, int]:
    """Count the lines of every file of the source; tests are left out."""
    paths = [
        path for name in SOURCE for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    ]
    counted = {path.relative_to(ROOT): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    return {str(path): lines for path, lines in counted.items() if "tests" not in path.parts}


def test_a_file_is_longer_than_300_lines_only_where_a_record_says_why() -> None:
    record = (ROOT / "docs/decisions/0041-files-longer-than-300-lines.md").read_text(encoding="utf-8")
    ceilings = {name: int(ceiling) for name, ceiling in LONGER.findall(record)}
    longer = {name: lines for name, lines in list_lengths().items() if lines > MAX_LINES}
    assert longer.keys() == ceilings.keys()
    assert {name: lines for name, lines in longer.items() if lines > ceilings[name]} == {}
