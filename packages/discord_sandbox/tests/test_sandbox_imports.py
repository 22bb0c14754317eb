"""The imports of the package: no circle, and nothing that a plain installation lacks."""

from __future__ import annotations

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import discord_sandbox

ROOT = Path(discord_sandbox.__file__).parent
NAME = discord_sandbox.__name__
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
OPTIONAL = {"jsonschema", "jsonschema_rs", "referencing", "zstandard"}
"""What the extras bring: imported where it is used, never when a module is loaded."""


def module_of(path: Path) -> str:
    parts = (NAME, *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "say where it comes from, no relative imports"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in PATHS else str(node.module) for name in modules)


def graph() -> dict[str, set[str]]:
    """Return which of our modules each of them imports, type-only imports included."""
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()}
    return {name: {each for each in imports(ast.walk(tree)) if each in PATHS} for name, tree in trees.items()}


def test_no_modules_import_each_other_in_a_circle() -> None:
    found = graph()
    assert len(found) > 40 and found[f"{NAME}.world"] >= {f"{NAME}.guilds", f"{NAME}.world_state"}
    graphlib.TopologicalSorter(found).prepare()


def test_the_check_sees_a_circle() -> None:
    found = graph()
    found[f"{NAME}.users"].add(f"{NAME}.guilds")
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(found).prepare()


@pytest.mark.parametrize("name", PATHS)
def test_a_module_loads_with_aiohttp_alone(name: str) -> None:
    tree = ast.parse(PATHS[name].read_text(encoding="utf-8"))
    inside = {id(node) for each in ast.walk(tree) if isinstance(each, FUNCTIONS) for node in ast.walk(each)}
    known = {NAME, "aiohttp", *sys.stdlib_module_names}
    top = {each.partition(".")[0] for each in imports(node for node in ast.walk(tree) if id(node) not in inside)}
    assert top <= known
    assert {each.partition(".")[0] for each in imports(ast.walk(tree))} <= known | OPTIONAL
