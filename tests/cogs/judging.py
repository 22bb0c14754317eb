"""Discord's limits of one message, checked apart from the code that keeps them.

By the hand-written rules of the local Discord, and by Discord's own description where there is one. Both count
characters; each character is made as many as its UTF-16 code units first, for some of Discord's clients count those.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import environ
from pathlib import Path
from typing import Any

import discord
from discord import ui

from discord_sandbox.components import check_components
from discord_sandbox.errors import InvalidFormBodyError
from discord_sandbox.modals import check_modal
from discord_sandbox.openapi_validator import OpenApiDescription, _load

_WIDE = re.compile(r"[\U00010000-\U0010ffff]")
_SCHEMAS = ("components", "schemas")
MAX_CONTENT, MAX_FILES, MAX_ALT, MAX_FILE_NAME, MAX_REQUEST_NONCE = 2000, 10, 1024, 1024, 25


def wide(value: Any) -> Any:
    """Return the text with two letters for each character of two code units."""
    match value:
        case str():
            return _WIDE.sub("xx", value)
        case dict():
            return {key: wide(each) for key, each in value.items()}
        case list() | tuple():
            return [wide(each) for each in value]
        case _:
            return value


def description() -> OpenApiDescription | None:
    """Return Discord's own description, if this machine has one."""
    path = environ.get("DISCORD_OPENAPI")
    return _load(Path(path)) if path else None


def wrongs_of_view(view: ui.LayoutView, files: Sequence[discord.File]) -> list[str]:
    """Return Discord's objections to a message of components with these files."""
    components = wide(view.to_components())  # type: ignore[no-untyped-call]
    wrong = [*_wrongs(lambda: check_components(components, is_v2=True)), *_wrongs_of_files(components, files)]
    payload = {"components": components, "flags": 1 << 15, "attachments": _attachments(files)}
    return wrong + _by_description(payload, "MessageCreateRequest")


def wrongs_of_text(content: str, files: Sequence[discord.File], nonce: str = "") -> list[str]:
    """Return Discord's objections to a message of plain text with these files."""
    wrong = [f"{len(wide(content))} characters"] if not 1 <= len(wide(content)) <= MAX_CONTENT else []
    wrong += [f"nonce {nonce}"] if len(nonce) > MAX_REQUEST_NONCE else []
    payload = {"content": wide(content), "attachments": _attachments(files)}
    return [*wrong, *_wrongs_of_files([], files), *_by_description(payload, "MessageCreateRequest")]


def wrongs_of_modal(modal: ui.Modal) -> list[str]:
    """Return Discord's objections to a form."""
    payload = wide(modal.to_dict())
    return [*_wrongs(lambda: check_modal(payload)), *_by_description(payload, "ModalInteractionCallbackRequestData")]


def wrongs_of_choices(choices: Sequence[discord.app_commands.Choice[str]]) -> list[str]:
    """Return Discord's objections to autocomplete choices."""
    payload = {"choices": wide([choice.to_dict() for choice in choices])}
    wrong = [f"{len(choices)} choices"] if len(choices) > 25 else []
    wrong += [str(each) for each in payload["choices"] if not 1 <= len(each["name"]) <= 100 or len(each["value"]) > 100]
    return wrong + _by_description(payload, "InteractionApplicationCommandAutocompleteCallbackStringData")


def _wrongs(check: Any) -> list[str]:
    try:
        check()
    except InvalidFormBodyError as invalid:
        return [f"{vars(invalid)}"]
    return []


def _wrongs_of_files(components: Sequence[Any], files: Sequence[discord.File]) -> list[str]:
    names = [file.filename for file in files]
    wrong = [f"{len(files)} files"] if len(files) > MAX_FILES else []
    wrong += [f"two files {names}"] if len(set(names)) < len(names) else []
    wrong += [name for name in names if not 1 <= len(name) <= MAX_FILE_NAME]
    wrong += [f"alt {file.description}" for file in files if len(wide(file.description or "")) > MAX_ALT]
    shown = re.findall(r"attachment://([^\"']+)", str(components))
    return wrong + [f"no file {name}" for name in shown if name not in names]


def _attachments(files: Sequence[discord.File]) -> list[dict[str, Any]]:
    return [
        {"id": number, "filename": file.filename, "description": wide(file.description)}
        for number, file in enumerate(files)
    ]


def _by_description(payload: Any, schema: str) -> list[str]:
    known = description()
    if known is None:
        return []
    if known.is_valid("request", (*_SCHEMAS, schema), payload):
        return []
    errors = known.get_validator("request", (*_SCHEMAS, schema)).iter_errors(payload)
    return [f"{list(error.absolute_path)}: {error.message[:200]}" for error in errors]
