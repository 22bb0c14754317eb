"""Options that people type into a prompt, as Midjourney takes them: `a cat --ar 3:2 --no dogs --seed 7`.

A flag stands at the beginning of a word, outside of `{…}` and of regions. One with an equal here is the option of that
name; one that only Midjourney has is left out and named; any other is plain text. Typed prompts alone have flags: a
recipe has none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from generation.requests.decimals import read_decimal
from generation.requests.errors import FlagValueError, UnknownSamplerError
from generation.requests.prompt import join_words
from generation.requests.regions import is_in_region
from generation.requests.sampler_names import read_sampler
from generation.requests.samplers import SAMPLERS

MAX_SHOWN_CHARS = 40
_FLAG = re.compile(r"(?<!\S)(?:--|\u2014)([A-Za-z][A-Za-z_-]{0,15})(?=\s|$)")
_ASPECT = re.compile(r"([1-9]\d{0,3})[:/x]([1-9]\d{0,3})")
_NUMBERED = (
    *("c", "chaos", "exp", "iw", "niji", "ow", "q", "quality", "r", "repeat", "s", "stop", "stylize"),
    *("sw", "cw", "v", "version", "w", "weird"),
)
_NAMED = ["cref", "oref", "p", "profile", "sref", "style"]
_BARE = ["draft", "fast", "hd", "raw", "relax", "test", "tile", "turbo", "upbeta", "uplight", "video"]


class Flags(NamedTuple):
    """The flags of a prompt."""

    values: Mapping[str, Any]
    """By the name of their option."""
    written: Mapping[str, str]
    """How they were typed, by the name of their option."""
    left_out: tuple[str, ...]


def read_flags(prompt: str) -> tuple[str, Flags]:
    """Return the prompt without its flags, and these. Raise `InvalidRequestError` for a value that cannot be."""
    values: dict[str, Any] = {}
    written: dict[str, str] = {}
    left_out: list[str] = []
    known = [match for match in _FLAG.finditer(prompt) if _is_known(match[1]) and _is_outside(prompt, match.start())]
    words = [prompt[: known[0].start()] if known else prompt]
    for index, match in enumerate(known):
        name = match[1].lower().replace("-", "_")
        segment = prompt[match.end() : known[index + 1].start() if index + 1 < len(known) else len(prompt)]
        value, rest = _split(name, segment.strip())
        shown = f"--{match[1]} {value}".strip()
        words.append(rest)
        if name not in _OPTIONS:
            left_out.append(shown)
            continue
        option, read = _OPTIONS[name]
        found = read(value)
        if found is None:
            raise FlagValueError(flag=shown[:MAX_SHOWN_CHARS])
        values[option] = join_words(values.get(option, ""), found) if option == "negative" else found
        written[option] = shown
    return " ".join(" ".join(words).split()), Flags(values, written, tuple(left_out))


def _is_known(name: str) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in _OPTIONS or plain in _NUMBERED or plain in _NAMED or plain in _BARE


def _is_outside(prompt: str, place: int) -> bool:
    """Return whether a place of the prompt is outside of choices and regions."""
    return prompt.count("{", 0, place) <= prompt.count("}", 0, place) and not is_in_region(prompt, place)


def _split(name: str, segment: str) -> tuple[str, str]:
    """Return the value of a flag and the words behind it."""
    first, _, rest = segment.partition(" ")
    if name in _OPTIONS:
        return (segment, "") if _OPTIONS[name][0] in _LONG else (first, rest)
    takes = name in _NAMED or (name in _NUMBERED and first[:1].isdigit())
    return (first, rest) if takes else ("", segment)


def _read_aspect(text: str) -> str | None:
    found = _ASPECT.fullmatch(text)
    return f"{int(found[1])}:{int(found[2])}" if found else None


def _read_whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 10 else None


def _read_words(text: str) -> str | None:
    return text or None


def _read_sampler(text: str) -> str:
    name = read_sampler(text)
    if name is None:
        raise UnknownSamplerError(name=text[:MAX_SHOWN_CHARS], samplers=", ".join(SAMPLERS))
    return name


_LONG = ("negative", "sampler", "model")
"""Their value goes on to the next flag."""
_OPTIONS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    **dict.fromkeys(("ar", "aspect"), ("aspect", _read_aspect)),
    **dict.fromkeys(("no", "negative"), ("negative", _read_words)),
    **dict.fromkeys(("count", "n"), ("count", _read_whole)),
    **dict.fromkeys(("cfg", "guidance"), ("guidance", read_decimal)),
    **dict.fromkeys(("model", "m"), ("model", _read_words)),
    "seed": ("seed", _read_whole),
    "steps": ("steps", _read_whole),
    "size": ("size", _read_words),
    "sampler": ("sampler", _read_sampler),
    "clip_skip": ("clip_skip", _read_whole),
}
