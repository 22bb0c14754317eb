"""The limits of embeds, and the form in which Discord gives an embed back.

Source: https://discord.com/developers/docs/resources/message#embed-object-embed-limits
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from discord_sandbox.errors import InvalidFormBodyError
from discord_sandbox.json_types import Json

MAX_EMBEDS = 10
MAX_FIELDS = 25
MAX_TOTAL = 6000
_LENGTHS = {"title": 256, "description": 4096}
Resolve = Callable[[str, str], Json]


def check_embeds(embeds: list[Json]) -> None:
    """Raise InvalidFormBodyError at the first limit that the embeds break, alone or together."""
    if len(embeds) > MAX_EMBEDS:
        raise InvalidFormBodyError("embeds", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_EMBEDS} or fewer in length.")
    total = 0
    for number, embed in enumerate(embeds):
        total += _check_embed(embed, f"embeds.{number}")
    if total > MAX_TOTAL:
        raise InvalidFormBodyError(
            "embeds", "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MAX_TOTAL}"
        )


def _check_embed(embed: Json, where: str) -> int:
    parts = [_measure_text(embed, key, limit, where) for key, limit in _LENGTHS.items()]
    parts.append(_measure_text(embed.get("footer") or {}, "text", 2048, f"{where}.footer"))
    parts.append(_measure_text(embed.get("author") or {}, "name", 256, f"{where}.author"))
    fields = embed.get("fields") or []
    if len(fields) > MAX_FIELDS:
        raise InvalidFormBodyError(
            f"{where}.fields", "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_FIELDS} or fewer in length."
        )
    for number, item in enumerate(fields):
        parts += _check_field(item, f"{where}.fields.{number}")
    if not any(parts) and not any(embed.get(key) for key in ("image", "thumbnail", "video", "url")):
        raise InvalidFormBodyError(where, "BASE_TYPE_REQUIRED", "An embed must not be empty")
    _check_extras(embed, where)
    return sum(parts)


def _check_field(item: Json, where: str) -> list[int]:
    for key in ("name", "value"):
        if not str(item.get(key) or "").strip():
            raise InvalidFormBodyError(f"{where}.{key}", "BASE_TYPE_REQUIRED", "This field is required")
    return [_measure_text(item, "name", 256, where), _measure_text(item, "value", 1024, where)]


def _check_extras(embed: Json, where: str) -> None:
    color = embed.get("color")
    if color is not None and not 0 <= color <= 0xFFFFFF:
        raise InvalidFormBodyError(f"{where}.color", "NUMBER_TYPE_MAX", "int value should be at most 16777215.")
    if embed.get("timestamp"):
        try:
            datetime.fromisoformat(embed["timestamp"])
        except ValueError:
            message = "Could not parse. Should be ISO8601."
            raise InvalidFormBodyError(f"{where}.timestamp", "DATE_TIME_TYPE_PARSE", message) from None
    for key in ("image", "thumbnail"):
        url = (embed.get(key) or {}).get("url")
        if url is not None and not url.startswith(("http://", "https://", "attachment://")):
            raise InvalidFormBodyError(
                f"{where}.{key}.url", "URL_TYPE_INVALID_SCHEME", f"Scheme of {url!r} is not supported"
            )


def _measure_text(holder: Json, key: str, limit: int, where: str) -> int:
    value = holder.get(key)
    if value is None:
        return 0
    if not isinstance(value, str):
        raise InvalidFormBodyError(f"{where}.{key}", "STRING_TYPE_CONVERT", "Could not interpret as string.")
    if len(value) > limit:
        raise InvalidFormBodyError(f"{where}.{key}", "BASE_TYPE_MAX_LENGTH", f"Must be {limit} or fewer in length.")
    # Discord trims before it counts towards the 6000.
    return len(value.strip())


def store_embed(embed: Json, where: str, resolve: Resolve) -> Json:
    """Return the embed as Discord gives it back; `resolve` turns a link into the media it shows."""
    plain = ("title", "description", "url", "timestamp", "color")
    kept: Json = {"type": "rich"} | {key: embed[key] for key in plain if embed.get(key) is not None}
    for key in ("image", "thumbnail"):
        if embed.get(key):
            media = resolve(embed[key]["url"], f"{where}.{key}.url")
            kept[key] = {k: v for k, v in media.items() if k in _MEDIA_KEYS and v is not None}
    for key, names in (("footer", ("text", "icon_url")), ("author", ("name", "url", "icon_url"))):
        if embed.get(key):
            kept[key] = _store_line(embed[key], names, f"{where}.{key}", resolve)
    if embed.get("fields"):
        kept["fields"] = [
            {"name": item["name"], "value": item["value"], "inline": bool(item.get("inline"))}
            for item in embed["fields"]
        ]
    return kept


_MEDIA_KEYS = ("url", "proxy_url", "width", "height", "content_type")


def _store_line(line: Json, names: tuple[str, ...], where: str, resolve: Resolve) -> Json:
    kept = {name: line[name] for name in names if line.get(name)}
    if "icon_url" in kept:
        kept["icon_url"] = resolve(kept["icon_url"], f"{where}.icon_url")["url"]
    return kept
