"""The rules that a bot's modal must meet.

Source: https://discord.com/developers/docs/components/reference#label
"""

from __future__ import annotations

from discord_sandbox.components import (
    CHECKBOX,
    CHECKBOX_GROUP,
    FILE_UPLOAD,
    LABEL,
    RADIO_GROUP,
    ROW,
    SELECTS,
    TEXT_DISPLAY,
    TEXT_INPUT,
    check_bounds,
    check_custom_id,
    check_options,
    check_select,
    check_unique_ids,
)
from discord_sandbox.errors import InvalidFormBodyError
from discord_sandbox.json_types import Json

_IN_LABEL = SELECTS | {TEXT_INPUT, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX}


def check_modal(modal: Json) -> None:
    """Raise InvalidFormBodyError at the first rule that a modal breaks."""
    check_custom_id(modal, "data")
    _check_length(modal.get("title"), 1, 45, "data.title")
    components = modal.get("components") or []
    if not 1 <= len(components) <= 5:
        raise InvalidFormBodyError("data.components", "BASE_TYPE_BAD_LENGTH", "Must be between 1 and 5 in length.")
    for number, component in enumerate(components):
        _check_line(component, f"data.components.{number}")
    check_unique_ids(components)


def _check_line(line: Json, where: str) -> None:
    kind = line.get("type")
    if kind == LABEL:
        _check_length(line.get("label"), 1, 45, f"{where}.label")
        _check_length(line.get("description") or "", 0, 100, f"{where}.description")
        _check_input(line.get("component") or {}, f"{where}.component")
    elif kind == ROW:
        children = line.get("components") or []
        if len(children) != 1 or children[0].get("type") != TEXT_INPUT:
            raise InvalidFormBodyError(
                f"{where}.components", "BASE_TYPE_CHOICES", "A modal's row holds one text input."
            )
        _check_length(children[0].get("label"), 1, 45, f"{where}.components.0.label")
        _check_input(children[0], f"{where}.components.0")
    elif kind != TEXT_DISPLAY:
        raise InvalidFormBodyError(
            f"{where}.type", "BASE_TYPE_CHOICES", 'Value of field "type" must be one of (1, 10, 18).'
        )


def _check_input(component: Json, where: str) -> None:
    kind = component.get("type")
    if kind not in _IN_LABEL:
        raise InvalidFormBodyError(f"{where}.type", "BASE_TYPE_CHOICES", f"Component type {kind} cannot be in a modal.")
    check_custom_id(component, where)
    if kind == TEXT_INPUT:
        _check_text_input(component, where)
    elif kind in SELECTS:
        check_select(component, where)
    elif kind in (FILE_UPLOAD, CHECKBOX_GROUP):
        check_bounds(component, where, most=10)
    if kind in (RADIO_GROUP, CHECKBOX_GROUP):
        check_options(component.get("options") or [], where, least=2 if kind == RADIO_GROUP else 1, most=10)


def _check_text_input(component: Json, where: str) -> None:
    if component.get("style") not in (1, 2):
        raise InvalidFormBodyError(
            f"{where}.style", "BASE_TYPE_CHOICES", 'Value of field "style" must be one of (1, 2).'
        )
    _check_length(component.get("placeholder") or "", 0, 100, f"{where}.placeholder")
    _check_length(component.get("value") or "", 0, component.get("max_length") or 4000, f"{where}.value")
    for key in ("min_length", "max_length"):
        if not 0 <= (component.get(key) or 0) <= 4000:
            raise InvalidFormBodyError(f"{where}.{key}", "NUMBER_TYPE_MAX", "int value should be at most 4000.")


def _check_length(value: object, low: int, high: int, where: str) -> None:
    if not isinstance(value, str) or not low <= len(value) <= high:
        raise InvalidFormBodyError(where, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")
