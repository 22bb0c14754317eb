"""The rules of message components, action rows and "components v2", and the form in which they are given back.

Source: https://discord.com/developers/docs/components/reference
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from discord_sandbox.errors import InvalidFormBodyError
from discord_sandbox.json_types import Json
from discord_sandbox.message_content import walk

ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT = 5, 6, 7, 8
SECTION, TEXT_DISPLAY, THUMBNAIL, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23

SELECTS = frozenset({STRING_SELECT, USER_SELECT, ROLE_SELECT, MENTIONABLE_SELECT, CHANNEL_SELECT})
_V2_TOP = frozenset({ROW, SECTION, TEXT_DISPLAY, MEDIA_GALLERY, FILE, SEPARATOR, CONTAINER})
_IN_CONTAINER = _V2_TOP - {CONTAINER}
_IN_LABEL = SELECTS | {TEXT_INPUT, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX}

MAX_ROWS, MAX_IN_ROW, MAX_V2, MAX_V2_TEXT, MAX_OPTIONS = 5, 5, 40, 4000, 25
Resolve = Callable[[str, str], Json]


def check_components(components: list[Json], *, is_v2: bool) -> None:
    """Raise InvalidFormBodyError at the first rule that a message's components break."""
    if is_v2:
        everything = list(walk(components))
        _require(len(everything) <= MAX_V2, "components", f"Must be {MAX_V2} or fewer components in total.")
        text = sum(len(c.get("content") or "") for c in everything if c["type"] == TEXT_DISPLAY)
        _require(text <= MAX_V2_TEXT, "components", f"Text must be {MAX_V2_TEXT} or fewer in length in total.")
    else:
        _require(len(components) <= MAX_ROWS, "components", f"Must be {MAX_ROWS} or fewer in length.")
    allowed = _V2_TOP if is_v2 else frozenset({ROW})
    for number, component in enumerate(components):
        _check_one(component, allowed, f"components.{number}")
    check_unique_ids(components)


def check_unique_ids(components: list[Json]) -> None:
    """Raise InvalidFormBodyError when two components share a `custom_id`."""
    seen: set[str] = set()
    for component in walk(components):
        custom_id = component.get("custom_id")
        if custom_id is not None:
            message = f"Component custom id cannot be duplicated: {custom_id!r}"
            _require(custom_id not in seen, "components", message, "COMPONENT_CUSTOM_ID_DUPLICATED")
            seen.add(custom_id)


def _check_one(component: Json, allowed: frozenset[int], where: str) -> None:
    kind = component.get("type")
    if kind not in allowed:
        names = ", ".join(str(item) for item in sorted(allowed))
        raise InvalidFormBodyError(
            f"{where}.type", "BASE_TYPE_CHOICES", f'Value of field "type" must be one of ({names}).'
        )
    if kind in SELECTS:
        check_select(component, where)
    else:
        _CHECKS[kind](component, where)


def _check_row(row: Json, where: str) -> None:
    children = row.get("components") or []
    _require(1 <= len(children) <= MAX_IN_ROW, f"{where}.components", "Must be between 1 and 5 in length.")
    for number, child in enumerate(children):
        _check_one(child, SELECTS | {BUTTON}, f"{where}.components.{number}")
    alone = len(children) == 1 or all(child["type"] == BUTTON for child in children)
    _require(alone, f"{where}.components", "A select menu must be alone in its row.", "COMPONENT_LAYOUT_WIDTH_EXCEEDED")


def _check_button(button: Json, where: str) -> None:
    style = button.get("style")
    _require(style in range(1, 7), f"{where}.style", 'Value of field "style" must be one of (1, 2, 3, 4, 5, 6).')
    needed = {5: "url", 6: "sku_id"}.get(style or 0, "custom_id")
    for key in ("custom_id", "url", "sku_id"):
        present = button.get(key) is not None
        _require(present == (key == needed), f"{where}.{key}", f"A button of style {style} needs {needed} and no other")
    if needed == "custom_id":
        check_custom_id(button, where)
    _check_length(button, "label", 80, where)
    _check_length(button, "url", 512, where)
    labelled = bool(button.get("label") or button.get("emoji")) or style == 6
    _require(labelled, f"{where}.label", "A button must have a label or an emoji", "BUTTON_COMPONENT_LABEL_REQUIRED")


def check_custom_id(component: Json, where: str) -> None:
    """Raise InvalidFormBodyError unless there is a `custom_id` of 1 to 100 characters."""
    custom_id = component.get("custom_id")
    good = isinstance(custom_id, str) and 1 <= len(custom_id) <= 100
    _require(good, f"{where}.custom_id", "Must be between 1 and 100 in length.")


def check_select(select: Json, where: str) -> None:
    """Raise InvalidFormBodyError at the first rule that a select menu breaks, in a message or a modal."""
    check_custom_id(select, where)
    _check_length(select, "placeholder", 150, where)
    high = check_bounds(select, where, most=25)
    if select["type"] != STRING_SELECT:
        return
    options = select.get("options") or []
    check_options(options, where, most=MAX_OPTIONS)
    _require(high <= len(options), f"{where}.max_values", "There are fewer options than max_values.")
    chosen = sum(bool(option.get("default")) for option in options)
    _require(chosen <= high, f"{where}.options", "More options are default than max_values.")


def check_bounds(component: Json, where: str, *, most: int) -> int:
    """Raise InvalidFormBodyError unless `min_values` and `max_values` fit; return `max_values`."""
    low, high = _read_bound(component, "min_values"), _read_bound(component, "max_values")
    _require(0 <= low <= most, f"{where}.min_values", f"int value should be between 0 and {most}.")
    fits = 1 <= high <= most and low <= high
    _require(fits, f"{where}.max_values", f"int value should be between min_values and {most}.")
    return high


def check_options(options: list[Json], where: str, *, least: int = 1, most: int) -> None:
    """Raise InvalidFormBodyError unless there are `least` to `most` well-formed options with different values."""
    _require(least <= len(options) <= most, f"{where}.options", f"Must be between {least} and {most} in length.")
    for number, option in enumerate(options):
        here = f"{where}.options.{number}"
        for key in ("label", "value"):
            _require(bool(option.get(key)), f"{here}.{key}", "This field is required", "BASE_TYPE_REQUIRED")
            _check_length(option, key, 100, here)
        _check_length(option, "description", 100, here)
    values = [option["value"] for option in options]
    message = "The specified option value is already used"
    _require(len(set(values)) == len(values), f"{where}.options", message, "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED")


def _check_section(section: Json, where: str) -> None:
    children = section.get("components") or []
    _require(1 <= len(children) <= 3, f"{where}.components", "Must be between 1 and 3 in length.")
    for number, child in enumerate(children):
        _check_one(child, frozenset({TEXT_DISPLAY}), f"{where}.components.{number}")
    accessory = section.get("accessory")
    _require(isinstance(accessory, dict), f"{where}.accessory", "This field is required", "BASE_TYPE_REQUIRED")
    _check_one(section["accessory"], frozenset({BUTTON, THUMBNAIL}), f"{where}.accessory")


def _check_text_display(text: Json, where: str) -> None:
    _require(bool(text.get("content")), f"{where}.content", "This field is required", "BASE_TYPE_REQUIRED")


def _check_thumbnail(thumbnail: Json, where: str) -> None:
    _check_media(thumbnail.get("media"), f"{where}.media", must_be_attached=False)
    _check_length(thumbnail, "description", 1024, where)


def _check_gallery(gallery: Json, where: str) -> None:
    items = gallery.get("items") or []
    _require(1 <= len(items) <= 10, f"{where}.items", "Must be between 1 and 10 in length.")
    for number, item in enumerate(items):
        _check_media(item.get("media"), f"{where}.items.{number}.media", must_be_attached=False)
        _check_length(item, "description", 1024, f"{where}.items.{number}")


def _check_file(file: Json, where: str) -> None:
    _check_media(file.get("file"), f"{where}.file", must_be_attached=True)


def _check_media(media: Json | None, where: str, *, must_be_attached: bool) -> None:
    url = (media or {}).get("url")
    schemes = ("attachment://",) if must_be_attached else ("attachment://", "http://", "https://")
    # A file that is already on the message may be named by the link that Discord gave.
    good = isinstance(url, str) and url.startswith((*schemes, "http://127.0.0.1"))
    _require(good, f"{where}.url", "Scheme is not supported", "URL_TYPE_INVALID_SCHEME")


def _check_separator(separator: Json, where: str) -> None:
    _require(separator.get("spacing", 1) in (1, 2), f"{where}.spacing", "Value must be one of (1, 2).")


def _check_container(container: Json, where: str) -> None:
    children = container.get("components") or []
    _require(bool(children), f"{where}.components", "This field is required", "BASE_TYPE_REQUIRED")
    color = container.get("accent_color")
    _require(color is None or 0 <= color <= 0xFFFFFF, f"{where}.accent_color", "Must be at most 16777215.")
    for number, child in enumerate(children):
        _check_one(child, _IN_CONTAINER, f"{where}.components.{number}")


_CHECKS: dict[int, Callable[[Json, str], None]] = {
    ROW: _check_row,
    BUTTON: _check_button,
    SECTION: _check_section,
    TEXT_DISPLAY: _check_text_display,
    THUMBNAIL: _check_thumbnail,
    MEDIA_GALLERY: _check_gallery,
    FILE: _check_file,
    SEPARATOR: _check_separator,
    CONTAINER: _check_container,
}


def _read_bound(select: Json, key: str) -> int:
    value = select.get(key)
    return 1 if value is None else int(value)


def _check_length(holder: Json, key: str, limit: int, where: str) -> None:
    value = holder.get(key)
    good = value is None or (isinstance(value, str) and len(value) <= limit)
    _require(good, f"{where}.{key}", f"Must be {limit} or fewer in length.")


def _require(good: bool, where: str, message: str, code: str = "BASE_TYPE_BAD_LENGTH") -> None:
    if not good:
        raise InvalidFormBodyError(where, code, message)


def store_components(components: list[Json], resolve: Resolve) -> list[Json]:
    """Return the components as Discord gives them back: numbered, with defaults, media resolved."""
    kept: list[Json] = _drop_nulls(components)
    taken = {component["id"] for component in walk(kept) if component.get("id")}
    number = 0
    for component in walk(kept):
        if not component.get("id"):
            number += 1
            while number in taken:
                number += 1
            component["id"] = number
        _fill_defaults(component)
        _resolve_media(component, resolve)
    return kept


def _drop_nulls(value: Any) -> Any:
    """Return a copy without the keys that are null, as Discord gives components back."""
    if isinstance(value, dict):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    return [_drop_nulls(item) for item in value] if isinstance(value, list) else value


def _fill_defaults(component: Json) -> None:
    kind = component["type"]
    if kind in SELECTS:
        component.setdefault("min_values", 1)
        component.setdefault("max_values", 1)
        for chosen in component.get("default_values", []):
            chosen["id"] = str(chosen["id"])
    elif kind == SEPARATOR:
        component.setdefault("divider", True)
        component.setdefault("spacing", 1)
    elif kind == CONTAINER:
        component.setdefault("accent_color", None)
    if kind in (CONTAINER, THUMBNAIL, FILE):
        component.setdefault("spoiler", False)


def _resolve_media(component: Json, resolve: Resolve) -> None:
    kind = component["type"]
    if kind == THUMBNAIL:
        component.setdefault("description", None)
        component["media"] = _resolve_one(component["media"], resolve)[0]
    elif kind == FILE:
        component["file"], component["name"], component["size"] = _resolve_one(component["file"], resolve)
    elif kind == MEDIA_GALLERY:
        for item in component["items"]:
            item.setdefault("description", None)
            item.setdefault("spoiler", False)
            item["media"] = _resolve_one(item["media"], resolve)[0]


def _resolve_one(media: Json, resolve: Resolve) -> tuple[Json, str | None, int | None]:
    found = resolve(media["url"], "components.media.url")
    return found, found.pop("name", None), found.pop("size", None)
