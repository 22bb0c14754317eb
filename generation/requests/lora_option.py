"""The option `lora` of a command: `neon:0.8, ink`. Read as the tags of a prompt are, completed while typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from generation.requests.decimals import read_decimal
from generation.requests.prompt_addons import MAX_ADAPTERS, MAX_WEIGHT, AddonLibrary, PromptAddon, fits

SUGGESTED_WEIGHTS = ("0.4", "0.6", "0.8", "1", "1.2")
_TAG = re.compile(r"<lora:([^<>]*)>", re.IGNORECASE)
_NOTE = re.compile(r"\s*\[[^\[\]]*\]")
_DECIMAL_COMMA = r"[^\w,:]?\d*,\d+(?:[eE][+-]?\d+)?"
_PART = re.compile(rf"[^,:]+:\s*(?P<weight>{_DECIMAL_COMMA})\s*(?::\s*(?P=weight)\s*)?(?=,|$)|[^,]+")
"""`name`, `name:weight`. The comma of `neon:0,8` parts nothing: only digits follow it, up to the next comma."""
_WIDE = str.maketrans({"\uff0c": ",", "\u3001": ",", "\uff1a": ":"})
_BRACKETS = str.maketrans("", "", "[]")


def split_loras(text: str) -> tuple[str, ...]:
    """Return what is named, each as `name` or `name:weight`.

    `<lora:name:0.8>` is read too. What stands in `[...]` is left out: it is a note of `complete_loras`, which becomes
    part of the text where a person goes on typing after a choice.
    """
    return tuple(filter(None, (part[0].strip() for part in _PART.finditer(_simplify(text)))))


def complete_loras(model: AddonLibrary, typed: str) -> Iterator[tuple[str, str]]:
    """Yield the typed text with its last part completed, and a note on that part: the trigger words of the LoRA.

    LoRA that do not fit the model, or are named already, are left out. After `name:` weights are completed.
    """
    parts = split_loras(typed)
    is_begun = parts and not _simplify(typed).rstrip().endswith(",")
    *earlier, last = parts if is_begun else (*parts, "")
    if len(earlier) >= MAX_ADAPTERS:
        return
    named = {_get_name(part) for part in earlier}
    offered = [each for each in model.loras if fits(model, each) and each.name.casefold() not in named]
    for part, note in _complete_weight(offered, last) if ":" in last else _complete_name(offered, last.casefold()):
        yield ", ".join((*earlier, part)), note


def _simplify(text: str) -> str:
    return _NOTE.sub("", _TAG.sub(r"\1,", text.translate(_WIDE))).translate(_BRACKETS)


def _get_name(part: str) -> str:
    return part.partition(":")[0].strip().casefold()


def _complete_name(offered: Sequence[PromptAddon], typed: str) -> Iterator[tuple[str, str]]:
    """Yield those with the typed letters in their name, trigger words or base model; first those that begin so."""
    found = [
        each for each in offered if any(typed in text.casefold() for text in (each.name, each.note, each.base_model))
    ]
    for each in sorted(found, key=lambda each: not each.name.casefold().startswith(typed)):
        yield each.name, each.note


def _complete_weight(offered: Sequence[PromptAddon], part: str) -> Iterator[tuple[str, str]]:
    name, _, typed = part.partition(":")
    weight = read_decimal(typed)
    begun = typed.strip().replace(",", ".")
    weights = [] if weight is None or abs(weight) > MAX_WEIGHT else [f"{weight:g}"]
    weights += [each for each in SUGGESTED_WEIGHTS if each.startswith(begun)]
    for each in offered:
        if each.name.casefold() == name.strip().casefold():
            yield from ((f"{each.name}:{weight}", "") for weight in dict.fromkeys(weights))
