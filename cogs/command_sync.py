"""Tells Discord our commands, but only when they have changed: there is a daily limit, and clients reload them.

While Discord cannot take them, they are tried again. If it refuses them for good, that is said once: in the log, and
as a problem until the next start.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import discord
from discord import app_commands

from cogs.i18n.gettext import N_
from generation.retry import Problems, Task, retry_until_success
from generation.translatable import Phrase

NOT_TAKEN_YET = N_(
    "The commands are not registered with Discord yet. The bot tries again. Commands registered earlier still work."
)
REFUSED = N_("Discord refuses the commands, and the bot does not try again: {why}")

Command = app_commands.Command[Any, ..., Any] | app_commands.ContextMenu | app_commands.Group
log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
HEAD_START_S = 15.0
"""How long a start waits for the commands before it goes on without."""
SUBJECT = "commands"
_DAILY_LIMIT = 30034
"""Discord takes no new commands today."""
_TOO_LONG_SHOWN = 300
_WAITING = Phrase(NOT_TAKEN_YET)
_TEXT = {"name", "description", "type", "nsfw", "contexts", "integration_types", "default_member_permissions"}
_OPTIONS = {"options", "required", "choices", "value", "autocomplete", "channel_types"}
_LANGUAGES = {"name_localizations", "description_localizations"}
_LIMITS = {"min_value", "max_value", "min_length", "max_length"}
_PERMISSIONS = "default_member_permissions"
_SAYS_SOMETHING = _TEXT | _OPTIONS | _LIMITS | _LANGUAGES


async def register_commands(
    tree: app_commands.CommandTree[Any], http: discord.http.HTTPClient, problems: Problems
) -> dict[str, int]:
    """Register the commands, however long Discord needs. Their ids by name; none if Discord refuses them for good."""
    task = Task(SUBJECT, _WAITING, FIRST_PAUSE_S, LONGEST_PAUSE_S, is_final=_is_refused)
    problems.set(SUBJECT, _WAITING)  # discord.py waits long for limits and errors before it raises
    try:
        return await retry_until_success(task, lambda: sync_if_changed(tree, http), problems)
    except discord.HTTPException as refused:
        log.error("action=commands-refused status=%s code=%s reason=%s", refused.status, refused.code, refused.text)
        why = refused.text[:_TOO_LONG_SHOWN]
        problems.set(SUBJECT, Phrase(REFUSED, why=why))
        return {}


def _is_refused(error: Exception) -> bool:
    """Return whether Discord will say the same tomorrow: what the commands say is at fault."""
    return isinstance(error, discord.HTTPException) and error.status in (400, 413) and error.code != _DAILY_LIMIT


async def sync_if_changed(tree: app_commands.CommandTree[Any], http: discord.http.HTTPClient) -> dict[str, int]:
    """Register the global commands unless Discord has the very same. Their ids by name."""
    application_id = tree.client.application_id
    assert application_id is not None, "commands are registered after login"
    here = [await _build_payload(command, tree) for command in tree.get_commands()]
    there = await http.request(
        # discord.py asks without: then Discord leaves out what the commands are called in other languages
        discord.http.Route("GET", "/applications/{application_id}/commands", application_id=application_id),
        params={"with_localizations": "true"},
    )
    if _index_by_name(here) == _index_by_name(there):
        log.info("action=commands-unchanged commands=%s", len(here))
        return _ids_of(there)
    # `tree.sync` would build the same payloads again, with twenty thousand translations
    registered = await http.bulk_upsert_global_commands(application_id, payload=here)
    log.info("action=commands-registered commands=%s", len(here))
    return _ids_of(registered)


def _ids_of(commands: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {command["name"]: int(command["id"]) for command in commands}


async def _build_payload(command: Command, tree: app_commands.CommandTree[Any]) -> dict[str, Any]:
    if tree.translator is None:
        return command.to_dict(tree)
    return await command.get_translated_payload(tree, tree.translator)


def _index_by_name(commands: Sequence[Mapping[str, Any]]) -> dict[tuple[int, str], Any]:
    return {(int(command.get("type") or 1), command["name"]): _strip_defaults(command) for command in commands}


def _strip_defaults(value: Any) -> Any:
    """Return a description without what Discord adds (ids, versions) and what is said by leaving it out."""
    if isinstance(value, Mapping):
        kept = {
            key: each if key in _LANGUAGES else _strip_defaults(each)
            for key, each in value.items()
            if key in _SAYS_SOMETHING
        }
        if kept.get(_PERMISSIONS) is not None:
            kept[_PERMISSIONS] = str(kept[_PERMISSIONS])  # a number here, text when Discord says it
        return {key: each for key, each in kept.items() if each not in (None, False, "", [], {})}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_strip_defaults(each) for each in value]
    return value
