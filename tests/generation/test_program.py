"""Sentences name the command that a person can type, in a source tree as in an installation."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from generation import program

ROOT = Path(__file__).resolve().parents[2]
PATHS = [path for room in ("cli", "cogs", "db", "generation") for path in (ROOT / room).rglob("*.py")]


def test_the_command_is_that_of_the_program_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert program.format_command("doctor") == "`python bot.py doctor`"
    monkeypatch.setattr(program, "IS_INSTALLED", True)
    assert program.format_command("doctor") == "`atelier doctor`"
    assert program.format_install("c2pa") == '`pip install "atelier-bot[c2pa]"`'


def texts_in(tree: ast.AST) -> Iterator[str]:
    """Every text of a file but its documentation."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_no_sentence_names_one_of_them_by_itself() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {text}"
        for path in PATHS
        if path != Path(program.__file__)
        for text in texts_in(ast.parse(path.read_text(encoding="utf-8")))
        if "bot.py " in text or "atelier serve" in text
    ]
    assert wrong == []
