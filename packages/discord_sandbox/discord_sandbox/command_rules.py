"""The rules that a command must meet to be registered.

Source: https://discord.com/developers/docs/interactions/application-commands
"""

from __future__ import annotations

from typing import Any

from discord_sandbox.errors import InvalidFormBodyError
from discord_sandbox.json_types import Json

CHAT_INPUT, USER, MESSAGE = 1, 2, 3
SUBCOMMAND, GROUP = 1, 2
STRING, INTEGER, BOOLEAN, USER_OPTION, CHANNEL_OPTION, ROLE_OPTION = 3, 4, 5, 6, 7, 8
MENTIONABLE, NUMBER, ATTACHMENT = 9, 10, 11

MAX_OPTIONS = 25
MAX_CHARACTERS = 8000
LIMITS = {CHAT_INPUT: 100, USER: 15, MESSAGE: 15}


def check_command(command: Json, where: str) -> None:
    """Raise InvalidFormBodyError at the first rule that a command breaks."""
    kind = command.get("type") or CHAT_INPUT
    if kind not in LIMITS:
        raise InvalidFormBodyError(f"{where}.type", "BASE_TYPE_CHOICES", "Value must be one of (1, 2, 3).")
    if kind == CHAT_INPUT:
        _check_name(command, where)
        _check_description(command, where)
        _check_options(command.get("options") or [], f"{where}.options", depth=0)
    else:
        _check_length(command.get("name"), 1, 32, f"{where}.name")
        if command.get("description") or command.get("options"):
            message = "Context menu commands cannot have description or options"
            raise InvalidFormBodyError(where, "APPLICATION_COMMAND_INVALID", message)
    if _count_characters(command) > MAX_CHARACTERS:
        raise InvalidFormBodyError(
            where, "APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({MAX_CHARACTERS})"
        )


def check_command_set(commands: list[Json]) -> None:
    """Raise InvalidFormBodyError when a list of commands holds a name twice, or too many of a kind."""
    for kind, limit in LIMITS.items():
        names = [command["name"] for command in commands if (command.get("type") or CHAT_INPUT) == kind]
        for number, name in enumerate(names):
            if name in names[:number]:
                message = "Application command names must be unique"
                raise InvalidFormBodyError(f"{number}", "APPLICATION_COMMANDS_DUPLICATE_NAME", message)
        if len(names) > limit:
            raise InvalidFormBodyError("", "BASE_TYPE_MAX_LENGTH", f"At most {limit} commands of type {kind}")


def _check_options(options: list[Json], where: str, *, depth: int) -> None:
    if len(options) > MAX_OPTIONS:
        raise InvalidFormBodyError(where, "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_OPTIONS} or fewer in length.")
    seen: set[str] = set()
    has_optional = False
    for number, option in enumerate(options):
        here = f"{where}.{number}"
        _check_option(option, here, depth=depth)
        if option["name"] in seen:
            message = "Option name is not unique"
            raise InvalidFormBodyError(f"{here}.name", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", message)
        seen.add(option["name"])
        if option.get("required") and has_optional:
            message = "Required options must be placed before non-required options"
            raise InvalidFormBodyError(f"{here}", "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        has_optional = has_optional or not option.get("required")
    if len({option.get("type") in (SUBCOMMAND, GROUP) for option in options}) > 1:
        message = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        raise InvalidFormBodyError(where, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message)


def _check_option(option: Json, where: str, *, depth: int) -> None:
    kind = option.get("type")
    if kind not in range(SUBCOMMAND, ATTACHMENT + 1):
        raise InvalidFormBodyError(f"{where}.type", "BASE_TYPE_CHOICES", "Value must be one of (1 to 11).")
    _check_name(option, where)
    _check_description(option, where)
    if kind in (SUBCOMMAND, GROUP):
        # A group holds subcommands only, and neither may be nested any deeper.
        if depth > 1 or (kind == GROUP and depth > 0):
            raise InvalidFormBodyError(f"{where}.type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Nested too deep")
        nested = option.get("options") or []
        if kind == GROUP and any(item.get("type") != SUBCOMMAND for item in nested):
            raise InvalidFormBodyError(
                f"{where}.options", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Subcommands only"
            )
        _check_options(nested, f"{where}.options", depth=depth + 1)
        return
    _check_choices(option, where)
    _check_bounds(option, where)


def _check_choices(option: Json, where: str) -> None:
    kind, choices = option["type"], option.get("choices") or []
    if (choices or option.get("autocomplete")) and kind not in (STRING, INTEGER, NUMBER):
        raise InvalidFormBodyError(
            where, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "This type has no choices or autocomplete"
        )
    if choices and option.get("autocomplete"):
        message = "Autocomplete and choices are mutually exclusive"
        raise InvalidFormBodyError(f"{where}.autocomplete", "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_INVALID", message)
    if len(choices) > 25:
        raise InvalidFormBodyError(f"{where}.choices", "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length.")
    for number, choice in enumerate(choices):
        check_choice(choice, kind, f"{where}.choices.{number}")
    for key in ("name", "value"):
        items = [choice[key] for choice in choices]
        if len(set(items)) < len(items):
            message = f"Choice {key}s must be unique"
            raise InvalidFormBodyError(
                f"{where}.choices", "APPLICATION_COMMAND_OPTIONS_CHOICE_NAMES_DUPLICATE", message
            )


def check_choice(choice: Json, kind: int, where: str) -> None:
    """Raise InvalidFormBodyError unless a choice has a name of 1 to 100 characters and a value of its option's type."""
    _check_length(choice.get("name"), 1, 100, f"{where}.name")
    value: Any = choice.get("value")
    types: dict[int, Any] = {STRING: (str,), INTEGER: (int,), NUMBER: (int, float)}
    if not isinstance(value, types[kind]) or isinstance(value, bool):
        raise InvalidFormBodyError(
            f"{where}.value", "APPLICATION_COMMAND_OPTIONS_CHOICE_TYPE_INVALID", "Wrong type of value"
        )
    if isinstance(value, str):
        _check_length(value, 1, 100, f"{where}.value")
    elif abs(value) > 2**53:
        raise InvalidFormBodyError(f"{where}.value", "NUMBER_TYPE_MAX", "The value is beyond 2^53.")


def _check_bounds(option: Json, where: str) -> None:
    for key in ("min_length", "max_length"):
        value = option.get(key)
        if value is not None and (option["type"] != STRING or not 0 <= value <= 6000):
            raise InvalidFormBodyError(f"{where}.{key}", "NUMBER_TYPE_MAX", "Only strings have it, between 0 and 6000.")
    for key in ("min_value", "max_value"):
        value = option.get(key)
        if value is not None and (option["type"] not in (INTEGER, NUMBER) or abs(value) > 2**53):
            raise InvalidFormBodyError(
                f"{where}.{key}", "NUMBER_TYPE_MAX", "Only numbers have it, between -2^53 and 2^53."
            )


def _check_name(holder: Json, where: str) -> None:
    name = holder.get("name")
    _check_length(name, 1, 32, f"{where}.name")
    if not all(letter.isalnum() or letter in "-_'" for letter in str(name)) or name != str(name).lower():
        message = "Command name is invalid: lower-case letters, digits, - and _ only"
        raise InvalidFormBodyError(f"{where}.name", "APPLICATION_COMMAND_INVALID_NAME", message)


def _check_description(holder: Json, where: str) -> None:
    _check_length(holder.get("description"), 1, 100, f"{where}.description")


def _check_length(value: object, low: int, high: int, where: str) -> None:
    if not isinstance(value, str) or not value.strip() or not low <= len(value) <= high:
        raise InvalidFormBodyError(where, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")


def _count_characters(holder: Json) -> int:
    own = len(holder.get("name") or "") + len(holder.get("description") or "")
    own += sum(len(str(c["name"])) + len(str(c["value"])) for c in holder.get("choices") or [])
    return own + sum(_count_characters(option) for option in holder.get("options") or [])
