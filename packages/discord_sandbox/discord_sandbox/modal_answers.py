"""The values of a modal, in the form that a modal-submit interaction carries."""

from __future__ import annotations

from typing import Any

from discord_sandbox.command_options import ActionRefusedError, Resolved
from discord_sandbox.components import (
    CHECKBOX,
    CHECKBOX_GROUP,
    FILE_UPLOAD,
    LABEL,
    RADIO_GROUP,
    ROW,
    STRING_SELECT,
    TEXT_INPUT,
)
from discord_sandbox.guilds import Channel
from discord_sandbox.json_types import Json


def answer_modal(modal: Json, values: dict[str, Any], resolved: Resolved, *, is_checked: bool) -> list[Json]:
    """Return the modal's components with their values, in the modal's order.

    Raise ActionRefusedError when `is_checked` and the modal lacks a `custom_id` or the client stops a value.
    """
    left = dict(values)
    answered = [
        _answer_line(line, left, resolved, number, is_checked) for number, line in enumerate(modal["components"], 1)
    ]
    if left and is_checked:
        raise ActionRefusedError(f"The modal has no field {', '.join(left)}.")
    return answered


def _answer_line(line: Json, left: dict[str, Any], resolved: Resolved, number: int, is_checked: bool) -> Json:
    base: Json = {"type": line["type"], "id": line.get("id") or number * 10}
    if line["type"] == LABEL:
        answer = _answer(line["component"], line["label"], left, resolved, number * 10 + 1, is_checked)
        return base | {"component": answer}
    if line["type"] == ROW:
        field = line["components"][0]
        answer = _answer(field, field.get("label") or "", left, resolved, number * 10 + 1, is_checked)
        return base | {"components": [answer]}
    return base


def _answer(field: Json, label: str, left: dict[str, Any], resolved: Resolved, number: int, is_checked: bool) -> Json:
    kind, custom_id = field["type"], field["custom_id"]
    base: Json = {"type": kind, "custom_id": custom_id, "id": field.get("id") or number}
    if kind == TEXT_INPUT:
        text = str(left.pop(custom_id, field.get("value") or ""))
        if is_checked:
            _check_text(field, label, text)
        return base | {"value": text}
    if kind == CHECKBOX:
        return base | {"value": bool(left.pop(custom_id, field.get("default", False)))}
    chosen = _choose_values(field, left.pop(custom_id, None), resolved)
    if is_checked and kind in (RADIO_GROUP, CHECKBOX_GROUP):
        _check_offered(field, label, chosen)
    if is_checked and field.get("required", True) and not chosen:
        raise ActionRefusedError(f"{label} is required.")
    if is_checked and 0 < len(chosen) < (field.get("min_values") or 0):
        raise ActionRefusedError(f"Choose more values for {label}.")
    if is_checked and len(chosen) > (field.get("max_values") or (10 if kind == CHECKBOX_GROUP else 1)):
        raise ActionRefusedError(f"Choose fewer values for {label}.")
    if kind == RADIO_GROUP:
        return base | {"value": chosen[0] if chosen else None}
    return base | {"values": chosen}


def _check_offered(field: Json, label: str, chosen: list[str]) -> None:
    offered = {option["value"] for option in field.get("options") or []}
    if field["type"] == RADIO_GROUP and len(chosen) > 1:
        raise ActionRefusedError(f"Choose one of {label}.")
    if not offered.issuperset(chosen):
        raise ActionRefusedError(f"{label} offers {', '.join(sorted(offered))}.")


def _choose_values(field: Json, given: Any, resolved: Resolved) -> list[str]:
    if field["type"] in (STRING_SELECT, RADIO_GROUP, CHECKBOX_GROUP):
        options = field.get("options") or []
        if given is None:
            return [str(option["value"]) for option in options if option.get("default")]
        wanted = given if isinstance(given, list) else [given]
        by_label = {option["label"]: option["value"] for option in options}
        return [str(by_label.get(item, item)) for item in wanted]
    if given is None:
        return [resolved.add(thing) for thing in _find_default_values(field, resolved.channel)]
    things = given if isinstance(given, list) else [given]
    assert field["type"] == FILE_UPLOAD or field["type"] in range(5, 9)
    return [resolved.add(thing) for thing in things]


def _find_default_values(field: Json, channel: Channel) -> list[Any]:
    """Return the members, roles and channels that a select came with."""
    world, guild = channel.world, channel.guild
    known: dict[str, dict[int, Any]] = {
        "user": world.users,
        "channel": guild.channels if guild else {},
        "role": guild.roles if guild else {},
    }
    found = [known[item["type"]].get(int(item["id"])) for item in field.get("default_values") or []]
    return [thing for thing in found if thing is not None]


def _check_text(field: Json, label: str, text: str) -> None:
    if not text and field.get("required", True):
        raise ActionRefusedError(f"{label} is required.")
    if text and len(text) < (field.get("min_length") or 0):
        raise ActionRefusedError(f"{label} must be at least {field['min_length']} characters long.")
    if len(text) > (field.get("max_length") or 4000):
        raise ActionRefusedError(f"{label} must be at most {field.get('max_length') or 4000} characters long.")
