"""Everything that exists is documented, and everything documented exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cli.app import app
from cli.env_file import PREFIX
from config import Settings
from generation import errors

ROOT = Path(__file__).resolve().parents[2]
INSTALLS_ANOTHER = re.compile(r"\b(?:pipx?|uv)\b[^\n]*?\binstall\b[^\n]*?[ \"'`]atelier(?![-\w/])")
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    *ROOT.glob("packages/*/*.md"),
    *ROOT.glob("packages/*/docs/*.md"),
    *ROOT.glob("generation/**/*.md"),
]


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented_and_in_the_example(name: str) -> None:
    variable = f"{PREFIX}{name.upper()}"
    assert f"`{variable}`" in (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert f"{variable}=" in (ROOT / ".env.example").read_text(encoding="utf-8")


def test_no_setting_is_documented_that_does_not_exist() -> None:
    named = re.findall(rf"`{PREFIX}(\w+)`", (ROOT / "docs/settings.md").read_text(encoding="utf-8"))
    assert {name.lower().removesuffix("_file") for name in named} <= set(Settings.model_fields)


def test_every_command_of_the_shell_is_documented() -> None:
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    commands = [command.name or command.callback.__name__ for command in app.registered_commands if command.callback]
    assert commands
    assert [name for name in commands if f"bot.py {name}" not in text] == []


def test_every_error_says_something_of_its_own() -> None:
    classes = [
        value for value in vars(errors).values() if isinstance(value, type) and value.__module__ == errors.__name__
    ]
    classes.remove(errors.NotNowError)  # it says what it is given, as `ConfigurationError` does
    assert len(classes) > 10
    texts = [cls.__doc__ for cls in classes]
    assert all(texts), "the docstring is the message"
    assert len(set(texts)) == len(texts), "two errors that say the same cannot be told apart"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
    local = [link for link in links if not link.startswith(("http", "mailto:"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


def list_anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_to_headings_lead_to_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    broken = [(to, anchor) for to, anchor in links if anchor not in list_anchors(page.parent / to if to else page)]
    assert broken == []


def test_the_decision_records_are_numbered_without_gaps() -> None:
    numbers = sorted(int(path.name[:4]) for path in (ROOT / "docs/decisions").glob("[0-9]*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_installs_the_other_atelier_of_the_package_index(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert not INSTALLS_ANOTHER.search(text), f"{page}: the distribution is called atelier-bot"


def test_commands_that_install_the_other_atelier_are_found() -> None:
    for wrong in ("pip install atelier", "pipx install 'atelier[sandbox]'", "uv tool install --force atelier==1"):
        assert INSTALLS_ANOTHER.search(wrong)
    for right in ("pip install atelier-bot", "pipx install dist/atelier_bot-0.1.0-py3-none-any.whl", "pip install ."):
        assert not INSTALLS_ANOTHER.search(right)
