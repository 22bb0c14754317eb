"""docs/commands.md lists exactly the registered commands with their options, and the buttons."""

from __future__ import annotations

import re
from pathlib import Path

from discord import app_commands

from cogs.common.messages import Action
from cogs.registered import load_offline_bot as offline

PAGE = (Path(__file__).resolve().parents[2] / "docs/commands.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading, without its head."""
    part = PAGE.split(f"## {heading}")[1].split("\n## ")[0]
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
    documented = {row[0].strip("`/"): re.findall(r"`(\w+)`", row[1]) for row in rows("Commands")}
    assert documented == registered()


def test_every_message_menu_is_documented_and_exists() -> None:
    assert [row[0] for row in rows("In the menu of a message")] == [menu.name for menu in offline().context_menus]


def test_every_button_is_documented_and_answered() -> None:
    documented = {row[1].strip("`") for row in rows("Buttons")}
    assert documented == {str(action) for action in Action}
    assert set(offline().button_handlers) | set(offline().form_handlers) | {Action.PAGE} == set(Action)
