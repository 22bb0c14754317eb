"""Every command that is not for everybody, called straight over the wire by those who may not: refused, and no trace.

The walk is over what the bot registered with Discord, so a new command cannot be forgotten: it is refused to a plain
member, or somebody has written its name below.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from living import LivingBot, People, until_shown

from cogs.managing import NOT_A_MANAGER
from cogs.moderation import NOT_A_MODERATOR
from cogs.operating import NOT_THE_OPERATOR
from sandbox import Actor, Interaction, Permission, Sandbox

FOR_EVERYBODY = {
    *("about", "cancel", "help", "history", "imagine", "img2img", "inpaint", "privacy", "queue", "recipe"),
    *("reproduce", "style list", "upscale", "usage"),
}
WITHOUT_A_HINT = {"style add", "style remove"}
"""Discord hides groups as a whole, and everybody may look at the styles."""
BESIDES = [("settings", {"file": b"{}"}), ("usage", {"whose": "server"})]
"""Options that ask for more than the command without them."""
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


async def test_every_command_of_managers_moderators_and_operators_is_refused_to_others(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    def come(name: str, permission: Permission) -> Actor:
        return discord.act_as(people.guild.add_member(name, permissions=int(permission)), people.general)

    closest = {  # to whom each kind is nearest, and still not theirs
        NOT_A_MANAGER: people.mo,
        NOT_A_MODERATOR: come("gil", Permission.MANAGE_GUILD),
        NOT_THE_OPERATOR: come("root", Permission.ADMINISTRATOR),
    }
    walked = [(name, filled(each, people)) for name, each in registered(discord.commands) if name not in FOR_EVERYBODY]
    assert len(walked) > 25
    before = rows(bot.data_dir)
    wrong: list[str] = []
    for name, options in [*walked, *BESIDES]:
        said = await answer_to(discord, await people.ada.forging.slash(name, **options))
        if said not in closest:
            wrong.append(f"/{name} said to a plain member: {said}")
        elif (again := await answer_to(discord, await closest[said].forging.slash(name, **options))) != said:
            wrong.append(f"/{name} said to {closest[said].user.username}: {again}")
    assert not wrong, "\n".join(wrong)
    assert rows(bot.data_dir) == before, "a refused command changes nothing"


async def test_discord_is_told_to_hide_them_too(discord: Sandbox, people: People, bot: LivingBot) -> None:
    hinted = {
        name for top in discord.commands if top.get("default_member_permissions") for name, _ in registered([top])
    }
    assert {name for name, _ in registered(discord.commands)} - FOR_EVERYBODY - WITHOUT_A_HINT == hinted


async def answer_to(discord: Sandbox, asked: Interaction) -> str:
    await discord.wait_for(lambda: asked.followups or ((m := asked.original_message) and not m.is_loading))
    message = asked.followups[-1] if asked.followups else await until_shown(discord, asked)
    assert message.is_ephemeral
    return message.text


def rows(folder: Path) -> dict[str, list[Any]]:
    with closing(sqlite3.connect(folder / "atelier.db")) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables}
