"""The table of prices in the docs is what the program writes."""

from __future__ import annotations

from pathlib import Path

from bench import prices
from generation.models.families import FAMILIES

_PAGE = Path(__file__).parents[2] / "docs" / "fairness.md"


def test_the_docs_have_the_table_that_the_program_writes(tmp_path: Path) -> None:
    """If it fails: `python -m bench prices --write docs/fairness.md`."""
    page = _PAGE.read_text(encoding="utf-8")
    assert f"{prices.BEGIN}\n{prices.table()}\n{prices.END}" in page
    other = tmp_path / "fairness.md"
    other.write_text(page.replace("| Stable Diffusion XL | 2", "| Stable Diffusion XL | 3"), encoding="utf-8")
    assert other.read_text(encoding="utf-8") != page
    assert prices.main(["--json", "--write", str(other)]) == 0
    assert other.read_text(encoding="utf-8") == page


def test_the_table_names_every_family() -> None:
    assert all(family.title in prices.table() for family in FAMILIES.values())
