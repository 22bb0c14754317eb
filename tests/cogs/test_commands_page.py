"""The pages of members, managers and operators list exactly the registered commands, their options, and the buttons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from discord import app_commands

from cogs.common.messages import Action
from cogs.registered import load_offline_bot as offline

DOCS = Path(__file__).resolve().parents[2] / "docs"
CHANGES = "defaults set", "defaults reset", "style add", "style remove", "list add", "list remove"
MANAGERS = "quota", "rules", "settings", "safety", *CHANGES
MODERATORS = "review", "block", "unblock", "purge"


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    part = (DOCS / page).read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def registered() -> dict[str, list[str]]:
    commands = offline().tree.walk_commands()
    return {
        command.qualified_name: [parameter.display_name for parameter in command.parameters]
        for command in commands
        if isinstance(command, app_commands.Command)
    }


def test_every_command_and_option_is_documented_and_exists() -> None:
    tables = (
        rows("commands.md", "Commands"),
        rows("managing.md", "Commands of managers"),
        rows("managing.md", "Commands of moderators"),
        rows("operations.md", "On Discord"),
    )
    documented = [(row[0].strip("`/"), re.findall(r"`(\w+)`", row[1])) for table in tables for row in table]
    assert dict(documented) == registered() and len(documented) == len(registered())


@pytest.mark.parametrize(
    ("page", "heading", "names"),
    [
        ("managing.md", "Commands of managers", MANAGERS),
        ("managing.md", "Commands of moderators", MODERATORS),
        ("operations.md", "On Discord", ("operator",)),
    ],
)
def test_commands_stand_where_their_readers_look(page: str, heading: str, names: tuple[str, ...]) -> None:
    listed = [row[0].strip("`/") for row in rows(page, heading)]
    assert listed and all(each.startswith(names) for each in listed)
    assert {name for name in registered() if name.startswith(names)} == set(listed)


def test_every_message_menu_is_documented_and_exists() -> None:
    assert [row[0] for row in rows("commands.md", "In the menu of a message")] == [
        menu.name for menu in offline().context_menus
    ]


def test_every_button_is_documented_and_answered() -> None:
    tables = rows("commands.md", "Buttons"), rows("managing.md", "Buttons and forms")
    documented = {row[1].strip("`") for table in tables for row in table}
    assert documented == {str(action) for action in Action}
    assert set(offline().button_handlers) | set(offline().form_handlers) | {Action.PAGE} == set(Action)
