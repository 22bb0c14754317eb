"""AUTOMATIC1111's web UI, and Forge, SD.Next and Atelier itself: the `parameters` text.

Prompt lines, a line that begins `Negative prompt:`, and a line of `Key: value` pairs that begins `Steps:`. Extensions
and other programs write lines below it, other keys first, line breaks into values, or all of it into one line.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping

from generation.images.interchange import foreign
from generation.images.interchange.foreign import MAX_TEXT_CHARS, ForeignSettings
from generation.requests.sampler_names import find_sampler

_MAX_SETTINGS_CHARS = 50_000
_QUOTED = r'"(?:\\.|[^"\\]){0,20000}"(?=\s*(?:,|\n|\Z))'
_PAIR = re.compile(
    rf"\s*(\w[\w \-/]*):[ \t]*({_QUOTED}|[^,\n]{{0,2000}}(?:(?<=\d),\d{{1,9}}(?=,|\n|\Z))?)\s*?(,|\n|\Z)", re.DOTALL
)
_LONG_VALUE = re.compile(rf":[ \t]*{_QUOTED}", re.DOTALL)
_OTHER = re.compile(r"[^,\n]*(,|\n|\Z)")
_HEAD = re.compile(r"\s*(\w[\w \-/]*):")
_NEGATIVE = re.compile(r"(?:^|\n)[ \t]*Negative prompt:", re.IGNORECASE)
_NEGATIVE_INLINE = re.compile(r"\bNegative prompt:", re.IGNORECASE)
_KEYS = frozenset(
    (
        *(
            "steps",
            "sampler",
            "cfg scale",
            "distilled cfg scale",
            "seed",
            "size",
            "model hash",
            "model",
            "schedule type",
            "scheduler",
        ),
        *("clip skip", "denoising strength", "version", "vae", "vae hash", "hires upscale", "face restoration"),
    )
)
_INLINE = re.compile(rf"(?<!\w)({'|'.join(sorted(_KEYS, key=len, reverse=True))})\s*:", re.IGNORECASE)
_ENOUGH_KEYS = 3
_EFFECTS = (
    *("denoising strength", "hires upscale", "variation seed", "refiner", "face restoration", "tiling", "hypernet"),
    *("adetailer model", "controlnet", "styles", "sharpness", "outpaint"),
)
"""Keys, or how they begin, of what changes a picture and is not read."""


def read_a1111(text: Mapping[str, str]) -> ForeignSettings | None:
    """Return the settings, or None if there is no such text or it is not of this form."""
    written = text.get("parameters")
    if written is None or len(written) > MAX_TEXT_CHARS:
        return None
    written = written.replace("\r\n", "\n").strip()
    start = _start_of_settings(written)
    if start is None:
        return None
    settings = _parse_pairs(written[start : start + _MAX_SETTINGS_CHARS])
    prompt, negative = _split_prompts(written[:start])
    tool = _detect_tool(settings.get("version", ""))
    if tool == "ComfyUI":  # nodes there write so what they did not find
        prompt, negative = (half if half.strip() != "unknown" else "" for half in (prompt, negative))
    sampler = settings.get("sampler")
    found = find_sampler(sampler, schedule=settings.get("schedule type", settings.get("scheduler")))
    return ForeignSettings(
        tool=tool,
        prompt=foreign.words(prompt),
        negative=foreign.words(negative),
        steps=foreign.steps(settings.get("steps")),
        guidance=foreign.guidance(settings.get("distilled cfg scale", settings.get("cfg scale", "")).replace(",", ".")),
        seed=foreign.seed(settings.get("seed")),
        size_px=foreign.size_of(settings.get("size")),
        sampler=found.sampler,
        sampler_there=foreign.name(sampler),
        model_there=foreign.name(settings.get("model", settings.get("base model"))),
        clip_skip=foreign.clip_skip(settings.get("clip skip")),
        unread=foreign.names((*found.unread, *_effects(settings, prompt))),
    )


def _detect_tool(version: str) -> str:
    known = ("Atelier", "ComfyUI", "Fooocus")
    return next((tool for tool in known if version.startswith(tool)), "A1111")


def _effects(settings: Mapping[str, str], prompt: str) -> list[str]:
    """Return the named LoRA, also where only their hashes are given."""
    effects = _EFFECTS if "<lora:" in prompt.casefold() else (*_EFFECTS, "lora hashes", "civitai resources")
    return [f"{key}: {value}" for key, value in settings.items() if key.startswith(effects)]


def _split_prompts(head: str) -> tuple[str, str]:
    """Return prompt and negative prompt, without the comma before settings on the same line."""
    if not head.endswith("\n"):
        head = head.rstrip().removesuffix(",")
    found = _NEGATIVE.search(head) or _NEGATIVE_INLINE.search(head)
    prompt, negative = (head[: found.start()], head[found.end() :]) if found else (head, "")
    return prompt.strip(), negative.strip()


def _start_of_settings(text: str) -> int | None:
    """Return where the last line of settings begins, or the settings at the end of a line of words."""
    start = _start_line(text)
    return _start_inline(text) if start is None else start


def _start_line(text: str) -> int | None:
    """Return, from below, the first line (or group of lines) that begins with a key and holds the steps."""
    end, keys = len(text), set[str]()
    best: int | None = None
    values = [found.span() for found in _LONG_VALUE.finditer(text, max(0, end - _MAX_SETTINGS_CHARS))]
    while end >= 0:
        start = text.rfind("\n", 0, end) + 1
        before = bisect_left(values, (start, 0)) - 1
        is_within_value = before >= 0 and start < values[before][1]
        head = None if is_within_value else _HEAD.match(text, start, end)
        key = head[1].strip().casefold() if head else ""
        line = text[start : min(end, start + _MAX_SETTINGS_CHARS)]
        here = _parse_pairs(line).keys() & _KEYS if key in _KEYS or (key and "steps" in line.casefold()) else set()
        if key not in _KEYS and not (start and len(here) >= _ENOUGH_KEYS and "steps" in here):
            if best is not None:
                return best
            keys.clear()
        elif key != "negative prompt":
            keys |= here
            if "steps" in here and (key == "steps" or len(keys) >= _ENOUGH_KEYS):
                return start
            if len(keys) >= _ENOUGH_KEYS:
                best = start
        end = start - 1
    return best


def _start_inline(text: str) -> int | None:
    """Return, from the end, where keys that follow one another by commas begin, each once, the steps among them."""
    keys, start = set[str](), None
    for found in reversed(list(_INLINE.finditer(text))):
        key = found[1].casefold()
        if key in keys:
            break
        keys.add(key)
        start = found.start()
        if not text[:start].rstrip().endswith(","):
            break
    return start if "steps" in keys and len(keys) >= _ENOUGH_KEYS else None


def _parse_pairs(text: str) -> dict[str, str]:
    """Return the settings by lower-case key, up to the first line that is not one; the first of a key counts."""
    settings: dict[str, str] = {}
    at = 0
    while at < len(text):
        pair = _PAIR.match(text, at)
        found = pair or _OTHER.match(text, at)
        if found is None or found.end() == at:
            break
        at = found.end()
        if pair is not None:
            value = pair[2]
            if not value.startswith('"') and (following := _INLINE.search(text, *pair.span(2))):
                at = following.start()  # with no comma between them
                value = text[pair.start(2) : at].rstrip(" ;|")
            settings.setdefault(pair[1].strip().casefold(), _unquote(value))
        if text[at - 1] == "\n" and not _is_key(_HEAD.match(text, at)):
            break
    return settings


def _is_key(head: re.Match[str] | None) -> bool:
    return head is not None and head[1].strip().casefold() in _KEYS


def _unquote(value: str) -> str:
    """Return the value without the JSON quotes that values with commas have."""
    if value.startswith('"'):
        try:
            return str(json.loads(value, strict=False))
        except ValueError:
            pass
    return value.strip()
