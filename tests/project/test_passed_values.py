"""What one step finds, the next is given: nothing is put where any code may write and none has to."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def find_extras(source: str) -> list[int]:
    """The lines that use an attribute `extras`, by name or by `getattr`."""
    nodes = list(ast.walk(ast.parse(source)))
    named = [each.lineno for each in nodes if isinstance(each, ast.Attribute) and each.attr == "extras"]
    return named + [each.lineno for each in nodes if isinstance(each, ast.Constant) and each.value == "extras"]


def test_nothing_travels_in_the_extras_of_an_interaction() -> None:
    used = {
        f"{path.relative_to(ROOT)}:{line}"
        for room in ("cogs", "cli")
        for path in sorted((ROOT / room).rglob("*.py"))
        for line in find_extras(path.read_text(encoding="utf-8"))
    }
    assert not used


def test_the_control_finds_extras() -> None:
    assert find_extras("interaction.extras[1] = 2") == [1]
    assert find_extras("getattr(interaction, 'extras')") == [1]
