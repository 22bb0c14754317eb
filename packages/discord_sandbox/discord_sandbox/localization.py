"""What a client shows of a command in its user's language: descriptions, choices, and the names in menus."""

from __future__ import annotations

from discord_sandbox.json_types import Json
from discord_sandbox.scripted_user import ScriptedUser

_CODES = """
bg cs da de el en-GB en-US es-419 es-ES fi fr hi hr hu id it ja ko lt nl no pl pt-BR ro ru sv-SE th tr uk vi zh-CN zh-TW
"""
LOCALES = frozenset(_CODES.split())
"""The languages of Discord's client."""
MENUS = (2, 3)


def list_shown_commands(user: ScriptedUser) -> list[Json]:
    """Return the commands that the client offers a user here, in their language."""
    return [localize_command(command, user.locale) for command in user.list_visible_commands()]


def localize_command(command: Json, locale: str) -> Json:
    """Return a command as a client of this language shows it.

    Names that are typed stay, as they say which command is meant; the name in the menu of a user or message is added
    as `label`.
    """
    shown = _localize(command, locale)
    if command.get("type") in MENUS:
        shown["label"] = _say(command, "name", locale)
    return shown


def _localize(node: Json, locale: str) -> Json:
    shown = {key: value for key, value in node.items() if not key.endswith("_localizations")}
    if "description" in node:
        shown["description"] = _say(node, "description", locale)
    if "options" in node:
        shown["options"] = [_localize(option, locale) for option in node["options"]]
    if "choices" in node:
        shown["choices"] = [choice | {"name": _say(choice, "name", locale)} for choice in node["choices"]]
    return shown


def _say(node: Json, key: str, locale: str) -> str:
    return str((node.get(f"{key}_localizations") or {}).get(locale) or node[key])
