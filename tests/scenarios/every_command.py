"""Every command that the bot registered, with something for each option it asks for; and what is answered."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from discord_sandbox import Interaction, Sandbox
from tests.scenarios.bot_harness import People, until_shown

SUBCOMMAND, GROUP = 1, 2
STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, NUMBER, FILE = 3, 4, 5, 6, 7, 8, 10, 11


def registered(commands: list[dict[str, Any]], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every slash command with its full name; groups are opened."""
    for command in commands:
        inner = [each for each in command.get("options", ()) if each["type"] in (SUBCOMMAND, GROUP)]
        name = f"{prefix}{command['name']}"
        if inner:
            yield from registered(inner, f"{name} ")
        elif prefix or command["type"] == 1:
            yield name, command


def filled(command: dict[str, Any], people: People) -> dict[str, Any]:
    """Something for every option that must be given."""
    role = people.guild.everyone
    values = {STRING: "nonsense", INTEGER: 1, BOOLEAN: True, USER: people.bo.user, CHANNEL: people.general, ROLE: role}
    values |= {NUMBER: 1.0, FILE: b"x"}
    needed = [option for option in command.get("options", ()) if option.get("required")]
    return {option["name"]: _first_choice(option) or values[option["type"]] for option in needed}


def _first_choice(option: dict[str, Any]) -> Any:
    return option["choices"][0]["value"] if option.get("choices") else None


async def answer_to(discord: Sandbox, asked: Interaction) -> str:
    """Return what a command answered: the text for the person alone, or the title of the form it opened."""
    await discord.wait_for(
        lambda: asked.modal or asked.followups or ((m := asked.original_message) and not m.is_loading)
    )
    if asked.modal is not None:
        return str(asked.modal["title"])
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message.text


def rows(folder: Path) -> dict[str, list[Any]]:
    """Return what the database holds, without the counters of the queue: they are stored some time after a picture."""
    with closing(sqlite3.connect(folder / "atelier.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables if name != "queue_counters"
        }
