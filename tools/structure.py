"""Count how the code is laid out: modules, imports, circles, verbs in names, the longest file and function.

    python tools/structure.py [FOLDER ...]     at any commit; prints one row a folder, as a Markdown table

A name counts as a verb's if its first word is in `tools/verbs.txt`. Properties, dunder and test functions are
left out.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import TypeGuard

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("api", "cogs", "generation", "db", "cli", "packages/discord_sandbox/discord_sandbox")
VERBS = frozenset((ROOT / "tools" / "verbs.txt").read_text(encoding="utf-8").split())


@dataclass(frozen=True, slots=True)
class Structure:
    """What is counted of one folder. `circle`: modules on a circle of imports, empty if there is none."""

    num_modules: int
    num_imports: int
    circle: tuple[str, ...]
    num_functions: int
    num_verbs: int
    longest_file: tuple[int, str]
    longest_function: tuple[int, str]
    num_lines: int


def measure(folder: Path) -> Structure:
    """Return the counts of all Python files below `folder`, a package. Imports that only a type checker sees count."""
    paths = {_name(path, folder.parent): path for path in sorted(folder.rglob("*.py"))}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in paths.items()}
    graph = {name: {each for each in _imports(tree) if each in trees} - {name} for name, tree in trees.items()}
    functions = [(each, name) for name, tree in trees.items() for each in ast.walk(tree) if _is_counted(each)]
    sizes = [((each.end_lineno or 0) - each.lineno + 1, f"{name}.{each.name}") for each, name in functions]
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in paths.items()}
    return Structure(
        num_modules=len(trees),
        num_imports=sum(map(len, graph.values())),
        circle=_find_circle(graph),
        num_functions=len(functions),
        num_verbs=sum(each.name.lstrip("_").split("_")[0] in VERBS for each, _ in functions),
        longest_file=max((count, name) for name, count in lines.items()),
        longest_function=max(sizes, default=(0, "")),
        num_lines=sum(lines.values()),
    )


def _name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield what a file imports; of `from package import module` the module and not the package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
            yield node.module


def _is_counted(node: ast.AST) -> TypeGuard[ast.FunctionDef | ast.AsyncFunctionDef]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name.startswith(("__", "test_")):
        return False
    return not any("property" in ast.unparse(each) or ".setter" in ast.unparse(each) for each in node.decorator_list)


def _find_circle(graph: Mapping[str, set[str]]) -> tuple[str, ...]:
    modules = {  # a package beside one of its modules is named only on the way to it
        name: {each for each in targets if not any(other.startswith(each + ".") for other in targets)}
        for name, targets in graph.items()
    }
    try:
        TopologicalSorter(modules).prepare()
    except CycleError as error:
        return tuple(error.args[1])
    return ()


def main() -> None:
    """Print the table."""
    sys.stdout.write(
        "| folder | modules | imports | circle | functions | verbs | longest file | longest function | lines |\n"
    )
    sys.stdout.write("|---|---|---|---|---|---|---|---|---|\n")
    for name in sys.argv[1:] or [each for each in FOLDERS if (ROOT / each).is_dir()]:
        found = measure((ROOT / name).resolve())
        share = 100 * found.num_verbs / max(1, found.num_functions)
        circle = " > ".join(found.circle) or "none"
        cells = (name, found.num_modules, found.num_imports, circle, found.num_functions, f"{share:.0f} %")
        ends = ("{} {}".format(*found.longest_file), "{} {}".format(*found.longest_function), found.num_lines)
        sys.stdout.write("| " + " | ".join(map(str, (*cells, *ends))) + " |\n")


if __name__ == "__main__":
    main()
