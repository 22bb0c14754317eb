"""Every command that a page tells to type exists, with every option that it names."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from cli.app import app
from tests.project.test_docs import PAGES, ROOT

COMMAND = typer.main.get_command(app)
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
VARIABLES = set(re.findall(r"^(\w+) \?=", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
STARTS = re.compile(
    r"(?:(?:^|[\s`/\\])bot\.py|(?:^\s*`?|[/\\]|--rm |exec atelier )atelier(?! atelier)) (?! )"
    r"|(?:^|[\s(`])(?:(make) +|python[\d.]* -m +([\w.]+))"
)
ENDS = re.compile(r" {2,}| #|&&|[|;>)`]| —|: ")
"""Where a command ends on its line: at what it does, a comment, or another command."""
FOREIGN = {"pip", "venv", "pytest"}


def list_code(text: str) -> Iterator[str]:
    """Yield the lines of blocks of code, and the pieces of code in the text."""
    for block in re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, re.M | re.S):
        yield from block.splitlines()
    yield from (
        f"`{code}" for code in re.findall(r"`([^`\n]+)`", re.sub(r"^ *```.*?^ *```", "", text, flags=re.M | re.S))
    )


def find_faults(code: str) -> list[str]:
    """Return what does not exist of the commands in a line of code."""
    faults = []
    for found in STARTS.finditer(code):
        make, module = found.groups()
        words = ENDS.split(code[found.end() :].strip())[0].split()
        if make:
            faults += find_faults_of_make(words)
        elif not module:
            faults += find_faults_of_program(words)
        elif module.partition(".")[0] not in FOREIGN:
            name = module if module != "bench" or not words or not words[0].isidentifier() else f"bench.{words[0]}"
            faults += [] if importlib.util.find_spec(name) else [f"there is no module {name}"]
    return faults


def find_faults_of_program(words: list[str]) -> list[str]:
    command, rest = COMMAND, iter(words)
    for word in rest:
        if word.startswith("--"):
            name = word.partition("=")[0].rstrip(".,]")
            if name not in list_options(command):
                return [f"{command.name or 'atelier'} has no option {name}"]
            if name == "--home":
                next(rest, None)
        elif isinstance(command, TyperGroup):
            if not re.fullmatch(r"[a-z]\w*,?", word):
                break  # the name of any command
            if (inner := command.commands.get(word.rstrip(","))) is None:
                return [f"{command.name or 'atelier'} has no command {word}"]
            command = inner
    return []


def list_options(command: Any) -> set[str]:
    return {"--help", *(name for each in command.params for name in (*each.opts, *each.secondary_opts))}


def find_faults_of_make(words: list[str]) -> list[str]:
    line = " ".join(words)
    if wrong := [name for name in re.findall(r"\b([A-Z]+)=", line) if name not in VARIABLES]:
        return [f"make reads no {wrong[0]}"]
    target = next((word for word in words if "=" not in word), "help").rstrip(".,")
    faults = [] if target in TARGETS or not re.fullmatch(r"[a-z-]+", target) else [f"make has no target {target}"]
    if given := re.search(r'ARGS="?([\w./]+)', line):
        module = {"bench": f"bench.{given[1]}", "reliability": f"tests.reliability.{given[1]}"}.get(target)
        if module and not importlib.util.find_spec(module):
            faults.append(f"there is no module {module}")
    return faults


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_command_of_a_page_exists(page: Path) -> None:
    faults = {code: found for code in list_code(page.read_text(encoding="utf-8")) if (found := find_faults(code))}
    assert faults == {}


@pytest.mark.parametrize(
    "code",
    [
        "`bot.py serv",
        ".venv/bin/python bot.py imagine --sede 7",
        "`atelier --house /x serve",
        "/opt/bin/atelier serv",
        "docker compose run --rm atelier doctr",
        "docker compose exec atelier atelier doctr",
        "bot.py models ad x  adds it",
        "`atelier fleet status --jsn",
        "`make tset",
        "make sandbox TORHC=cpu",
        'make bench ARGS="startupp --json"',
        "python -m bench thruput",
        "python -m tests.reliability.chaoss",
    ],
)
def test_a_command_that_does_not_exist_is_found(code: str) -> None:
    assert len(find_faults(code)) == 1
