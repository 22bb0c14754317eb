"""People are spoken to in the language they chose, and no code joins texts by signs that a language may space."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from cogs.i18n import extract
from cogs.i18n.gettext import format_labelled, format_value, join_clauses, use_language

COGS = extract.ROOT / "cogs"
CHOSEN = "cogs/common/member_language.py"
"""The one place that reads the language of a person's Discord: what they chose with `/me` comes before it."""
STORED = {"cogs/delivery/_tracker.py": "reply_to.locale"}
"""Speaks later what `submission` wrote down when the request came."""
ENTRIES = {
    "ReviewItem.callback",
    "PersistentButton.callback",
    "PersistentMenu.callback",
    "SettingItem.callback",
    "AtelierBot.on_interaction",
    "Tree.interaction_check",
}
"""What discord.py calls with an interaction, before any other code of ours."""
SPACED = re.compile(r"[:;!?] ")


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(COGS.rglob("*.py")):
        yield path.relative_to(extract.ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", None)) == name


def wrong_languages(where: str, tree: ast.AST) -> Iterator[str]:
    """Return where a person's language is not asked of `get_locale`."""
    for node in ast.walk(tree):
        if called(node, "set_language"):
            (spoken,) = node.args  # type: ignore[attr-defined]
            if not called(spoken, "get_locale") and ast.unparse(spoken) != STORED.get(where):
                yield f"{where}:{node.lineno}"  # type: ignore[attr-defined]
        elif isinstance(node, ast.Attribute) and where != CHOSEN and ast.unparse(node).endswith("interaction.locale"):
            yield f"{where}:{node.lineno}"


def entries(tree: ast.AST) -> Iterator[tuple[str, ast.AsyncFunctionDef]]:
    """Return the methods that discord.py calls with an interaction."""
    for kind in (each for each in ast.walk(tree) if isinstance(each, ast.ClassDef)):
        for method in kind.body:
            if isinstance(method, ast.AsyncFunctionDef) and method.name in {
                "callback",
                "interaction_check",
                "on_interaction",
                "on_submit",
            }:
                yield f"{kind.name}.{method.name}", method


def joined(tree: ast.AST) -> Iterator[int]:
    """Return the lines that put a colon or a semicolon between two values themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            for before, part in zip(node.values, node.values[1:], strict=False):
                sign = part.value if isinstance(part, ast.Constant) else ""
                if isinstance(before, ast.FormattedValue) and isinstance(sign, str) and SPACED.match(sign):
                    yield node.lineno
        elif called(node, "join") and isinstance(node.func, ast.Attribute):  # type: ignore[attr-defined]
            sign = getattr(node.func.value, "value", "")  # type: ignore[attr-defined]
            if isinstance(sign, str) and SPACED.match(sign):
                yield node.lineno  # type: ignore[attr-defined]


def test_a_chosen_language_comes_before_that_of_discord() -> None:
    assert [where for name, tree in trees() for where in wrong_languages(name, tree)] == []


def test_every_way_in_asks_for_the_language_first() -> None:
    found = dict(method for _name, tree in trees() for method in entries(tree))
    assert set(found) == ENTRIES, "a new way in sets the language, and is named here"
    for name, method in found.items():
        first = method.body[1] if ast.get_docstring(method) else method.body[0]
        assert ast.unparse(first) == "set_language(get_locale(interaction))", name


def test_texts_are_not_joined_by_signs_of_our_own() -> None:
    """French has a space before them, so the catalogue says how they stand: `join_clauses`, `format_labelled`.

    Left out are the console, the text of an exception, and a block of code.
    """
    unread = {"cogs/i18n/extract.py", "cogs/common/refused_messages.py", "cogs/recipe/_messages.py"}
    assert [f"{name}:{line}" for name, tree in trees() if name not in unread for line in joined(tree)] == []


@pytest.mark.parametrize(
    ("code", "is_seen"),
    [
        ("set_language(interaction.locale)", True),
        ("set_language(self.interaction.locale)", True),
        ("set_language(locale)", True),
        ("say(interaction.locale)", True),
        ("set_language(get_locale(interaction))", False),
        ("set_language(reply_to.locale)", True),
    ],
)
def test_a_wrong_language_would_be_seen(code: str, is_seen: bool) -> None:
    assert any(wrong_languages("cogs/here.py", ast.parse(code))) is is_seen


@pytest.mark.parametrize("code", ["f'{a}: {b}'", "f'so {a}; {b}'", "'; '.join(a)", "f'{a}! '"])
def test_a_joined_text_would_be_seen(code: str) -> None:
    assert [*joined(ast.parse(code))] == [1]


def test_a_language_says_how_clauses_and_labels_stand() -> None:
    assert join_clauses([]) == ""
    assert join_clauses(["a", "b", "c"]) == format_value(("a", "b", "c")) == "a; b; c"
    assert format_labelled("a {b}", "c") == "a {b}: c"
    with use_language("fr"):
        assert join_clauses(["a", "b", "c"]) == format_value(("a", "b", "c")) == "a\u202f; b\u202f; c"
        assert format_labelled("a", "b") == "a\u00a0: b"
