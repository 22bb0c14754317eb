"""`sandbox` says what is in its way in words of its own, before it starts anything."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from cli.app import app
from db.lock import FolderLock


def test_a_second_trial_in_the_same_folder_is_told_of_its_own_option(tmp_path: Path) -> None:
    with FolderLock(tmp_path / "trial"):
        found = CliRunner().invoke(app, ["sandbox", "--port", "0", "--data-dir", str(tmp_path / "trial")])
    assert found.exit_code == 75 and found.stdout == "", "it may do later"
    assert found.stderr.startswith(f"atelier: Another Atelier is using the folder {tmp_path / 'trial'} (process ")
    assert found.stderr.endswith("Stop it first, or set another one with --data-dir.\n")
