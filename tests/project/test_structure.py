"""The program that counts the structure of the code finds what it should."""

from __future__ import annotations

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
    for name in ("cogs", "generation", "db", "cli", "packages/discord_sandbox/discord_sandbox"):
        assert measure(ROOT / name).circle == (), name
