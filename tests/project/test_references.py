"""Every file, module, command, target and setting that a page names in code marks exists."""

from __future__ import annotations

import pkgutil
import re
from functools import cache
from pathlib import Path

import pytest

from cli.app import app
from cli.env_file import PREFIX
from cogs.registered import load_offline_bot
from config import Settings
from tests.project.test_docs import PAGES, ROOT

# Named in pages, but not in the source tree: made at run time, examples, or outside.
RUNTIME_FILES = {
    "measured.json", "models.json", "failed-models.json", "atelier.lock", "atelier.db.lock", "data/atelier.db", "a.png",
    "config.json", "model_index.json", "soak.svg", "my_bot.py", "runs/paintbox", "db/migrations",
    "discord/discord-api-spec", "compose.override.yaml",
    "cogs/i18n/locale/fr/LC_MESSAGES/atelier.po", "/etc/systemd/system/atelier.service", "env.txt",
}  # fmt: skip
CODE = ("api", "bench", "cli", "cogs", "db", "generation", "packages", "tests", "tools", "training")
FILE = re.compile(r"(?:[\w.-]+/)*[\w-][\w.-]*\.(?:py|md|toml|txt|lock|ya?ml|json|css|js|po|sh)")
FOLDER = re.compile(
    r"(?:api|bench|cli|cogs|db|docs|generation|packages|tests|tools|training|alembic|\.github)(?:/[\w.-]+)+/?"
)
MODULE = re.compile(r"(?:api|bench|cli|cogs|config|db|discord_sandbox|generation|tests|tools|training)(?:\.\w+)+")
CLASS = re.compile(r"[A-Z]+[a-z]+(?:[A-Z][a-z0-9]+)+")
FOREIGN_SLASHES = {
    "livez",
    "readyz",
    "healthz",
    "metrics",
    "data",
    "models",
    "etc",
    "path",
    "pattern",
    "venv",
    "opt",
    "srv",
    "run",
    "users",
}


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def find_code(text: str) -> list[str]:
    """Return what stands in code marks: inline, and each line of a fenced block."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    rest = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.M | re.S)
    return [line for block in fenced for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", rest)


@cache
def list_file_names() -> set[str]:
    return {path.name for folder in CODE for path in (ROOT / folder).rglob("*.*")} | {
        path.name for path in ROOT.iterdir()
    }


@cache
def list_class_names() -> set[str]:
    sources = (path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    return {name for path in sources for name in re.findall(r"\w+", read(path)) if CLASS.fullmatch(name)}


def is_there(name: str, page: Path) -> bool:
    """Look beside the page and in the tree. A bare file name may be that of any file."""
    if name in RUNTIME_FILES or (ROOT / name).exists() or (page.parent / name).exists():
        return True
    package = next((folder for folder in page.parents if (folder / "pyproject.toml").exists()), ROOT)
    return (package / name).exists() or ("/" not in name and name in list_file_names())


def find_missing_files(text: str, page: Path) -> list[str]:
    named = [code for code in find_code(text) if FILE.fullmatch(code) or FOLDER.fullmatch(code)]
    return [name for name in named if not is_there(name, page)]


def resolves(dotted: str) -> bool:
    """Say whether a dotted name is a module of ours or something in one."""
    try:
        pkgutil.resolve_name(dotted)
    except (AttributeError, ModuleNotFoundError):
        return False
    return True


def find_missing_modules(text: str) -> list[str]:
    named = {code.removesuffix("()") for code in find_code(text)}
    named |= {module for code in find_code(text) for module in re.findall(r"-m ([\w.]+)", code)}
    return sorted(name for name in named if MODULE.fullmatch(name) and not FILE.fullmatch(name) and not resolves(name))


def find_missing_classes(text: str) -> list[str]:
    return [code for code in find_code(text) if CLASS.fullmatch(code) and code not in list_class_names()]


def find_missing_commands(text: str) -> list[str]:
    groups = {group.name for group in app.registered_groups}
    known = groups | {
        command.name or command.callback.__name__ for command in app.registered_commands if command.callback
    }
    named = re.findall(r"(?:\bbot\.py|\batelier) (?:--\w+ \S+ )?(?=([a-z]\w*))", "\n".join(find_code(text)))
    named += re.findall(r"(?:^|\bpython -m |bench\.)bench ([a-z]\w*)", "\n".join(find_code(text)), re.M)
    benches = {path.stem for path in (ROOT / "bench").glob("[a-z]*.py")}
    return [name for name in named if name not in known | benches | {"atelier"}]  # also a service of compose.yaml


def find_missing_targets(text: str) -> list[str]:
    known = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.M))
    return [target for target in re.findall(r"(?:^|`)make ([a-z][\w-]*)", text, re.M) if target not in known]


def find_missing_settings(text: str) -> list[str]:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | {f"{PREFIX}HOME"}
    named = re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", text)
    return [name for name in named if name.removesuffix("_FILE") not in known]


def find_missing_slash_commands(text: str) -> list[str]:
    known = {command.name for command in load_offline_bot().tree.walk_commands()} | FOREIGN_SLASHES
    named = re.findall(r"`/([a-z][a-z0-9]*)(?=[` ])", text)
    return [name for name in named if name not in known]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_everything_a_page_names_exists(page: Path) -> None:
    text = read(page)
    assert find_missing_files(text, page) == []
    assert find_missing_modules(text) == []
    assert find_missing_classes(text) == []
    assert find_missing_commands(text) == []
    assert find_missing_targets(text) == []
    assert find_missing_settings(text) == []
    assert find_missing_slash_commands(text) == []


def test_missing_references_are_found() -> None:
    page = ROOT / "README.md"
    assert find_missing_files("`cogs/paper.py` `cogs/gone/` `gone.py` `bot.py`", page) == [
        "cogs/paper.py",
        "cogs/gone/",
        "gone.py",
    ]
    assert find_missing_modules("`cogs.gate.require` `db.lock.lock_all` `python -m bench.gone`") == [
        "bench.gone",
        "cogs.gate.require",
    ]
    gone = "Gone" + "AwayError"  # written whole, it would be found in this file
    assert find_missing_classes(f"`GenerationService` `{gone}`") == [gone]
    assert find_missing_commands(
        "`bot.py paint` `bot.py --home x serve` `exec atelier atelier draw` `python -m bench chaos`"
    ) == [
        "paint",
        "draw",
        "chaos",
    ]
    assert find_missing_targets("`make texts` and `make nothing`") == ["nothing"]
    assert find_missing_settings("ATELIER_MODEL=x `ATELIER_MODLE` ATELIER_C2PA_KEY_FILE") == ["ATELIER_MODLE"]
    assert find_missing_slash_commands("`/quota set` `/style` `/nothing`") == ["nothing"]
