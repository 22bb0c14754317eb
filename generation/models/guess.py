"""Guesses a model's or a LoRA's defaults from what is written about it: its name, page, metadata, card and scheduler.

Distilled models need few steps and no guidance, and say so in their names or in the settings of their scheduler: no
tensor tells. What each kind wants is on the cards of the first of its kind (ByteDance's Lightning and Hyper-SD,
Stability's Turbo, LCM, TCD, DMD2), and is painted as the stock pipelines paint it by those cards
(`tests/generation/engine/test_few_steps.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from generation.errors import ConfigurationError
from generation.models.families import FAMILIES
from generation.models.layout import read_scheduler
from generation.models.licence import read_card
from generation.models.registry import Entry, Kind
from generation.models.safetensors_header import read_tensors
from generation.models.scheduler_config import V_PREDICTION
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides


@dataclass(frozen=True, slots=True)
class Source:
    """A text about a model. `origin` begins a sentence: “its name”."""

    origin: str
    text: str


@dataclass(frozen=True, slots=True)
class Guess:
    """Defaults that are likely right, and what says so, to end a sentence; empty where nothing does."""

    overrides: DefaultOverrides = NO_OVERRIDES
    reasons: tuple[str, ...] = ()


class _Distilled(NamedTuple):
    """How models of a kind are painted. More than `most` steps in a name are a version, not a number of steps."""

    steps: int
    most: int
    guidance: float
    sampler: str
    pattern: str


_NOT = r"(?<!non)(?<!non[ _-])(?<!not[ _-])(?<!no[ _-])"
_KINDS: Mapping[str, _Distilled] = MappingProxyType(
    {
        "Lightning": _Distilled(4, 8, 1.0, "Euler SGM Uniform", rf"{_NOT}light(?:e)?ning"),
        "Hyper": _Distilled(8, 8, 1.0, "DDIM SGM Uniform", r"(?<![a-z])hyper(?![a-z]|[ _-]?real)|hyper[ _-]?(?:sd|xl)"),
        "TCD": _Distilled(4, 8, 1.0, "TCD", r"(?<![a-z])tcd(?![a-z])"),
        "DMD2": _Distilled(4, 8, 1.0, "LCM", r"(?<![a-z])dmd2?(?![a-z])"),
        "LCM": _Distilled(6, 8, 1.5, "LCM", r"(?<![a-z])lcm(?![a-z])"),
        "Turbo": _Distilled(4, 8, 1.0, "Euler a SGM Uniform", rf"{_NOT}turbo(?!charge)"),
    }
)
"""Searched in this order: a “Turbo” merge that is also “Lightning” is painted as the latter."""
_FLOW_KINDS: Mapping[str, _Distilled] = MappingProxyType(
    {
        "Turbo": _KINDS["Turbo"]._replace(steps=8, most=12, sampler="Euler"),
        "LCM": _KINDS["LCM"],
        **{name: _KINDS[name]._replace(sampler="Euler") for name in ("Lightning", "Hyper", "DMD2")},
    }
)
"""The same of models trained by flow matching, whose schedules begin at the last timestep in any case."""
_ONE_STEP_HYPER = "TCD"
"""What a LoRA of Hyper-SD for one step is painted with, by its card."""
_OF_SCHEDULER: Mapping[str, str] = MappingProxyType({"LCMScheduler": "LCM", "TCDScheduler": "TCD"})
"""Schedulers that belong to one kind."""
_TRAILING: Mapping[str, str] = MappingProxyType(
    {
        "EulerDiscreteScheduler": "Euler SGM Uniform",
        "EulerAncestralDiscreteScheduler": "Euler a SGM Uniform",
        "DDIMScheduler": "DDIM SGM Uniform",
    }
)
"""Samplers of models whose settings begin at the last timestep, as those of SD-Turbo and SDXL-Turbo do."""
_LORA_NAMES = re.compile(
    r"(?:sd|xl|image|flux|klein)(?:[ _-]?\d(?:[ _.-]?\d)?)?[ _-]?(?:hyper|light(?:e)?ning|turbo)|hyper[ _-]?sd"
)
"""A LoRA may paint lightning, or a turbo: it is of a kind if it names a number of steps, or the kind beside a model."""
_SURE = ("LCM", "TCD", "DMD2")
_HYPER_CFG = 5.0
"""Guidance of Hyper-SD's LoRA that kept it, which say CFG."""
_TAGGED: Mapping[str, DefaultOverrides] = MappingProxyType(
    {
        "Pony": DefaultOverrides(prefix="score_9, score_8_up, score_7_up"),
        "Illustrious": DefaultOverrides(suffix="masterpiece, best quality", negative="worst quality, low quality"),
        "NoobAI": DefaultOverrides(suffix="masterpiece, best quality", negative="worst quality, low quality"),
    }
)
"""XL models trained with tags of quality, by a word that names them."""
_V_XL = DefaultOverrides(steps=28, guidance=5.0, sampler="Euler")
"""Those with v-prediction burn out at guidance 7, and Karras sigmas do not reach their noise."""
_STEPS = re.compile(r"(?<!\d)(\d{1,2})[ _-]?steps?(?![a-z])")
_CLIP_SKIP = re.compile(r"clip[ _-]?skip\W{0,4}(?:(?:of|to|is|=)\W{0,2})?(\d)(?!\d)")
_CARD, _MAX_CARD_CHARS = "README.md", 200_000
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=\d)(?=[A-Z])")


def guess_defaults(
    family: str, sources: Sequence[Source], *, scheduler: Mapping[str, Any] = MappingProxyType({}), notes: str = ""
) -> Guess:
    """Return the defaults of a model. The first source that names a kind decides, then the settings of its scheduler.

    `notes` is text of its author.
    """
    predicts_v = scheduler.get("prediction_type") == V_PREDICTION
    kinds = _FLOW_KINDS if FAMILIES[family].is_flow else _KINDS
    kind = _guess_kind(sources, kinds)
    if kinds is _KINDS and not predicts_v:
        kind = _add_scheduler(kind, scheduler)
    if family == "sd3large" and kind.overrides.steps == _FLOW_KINDS["Turbo"].steps:
        kind = replace(kind, overrides=msgspec.structs.replace(kind.overrides, steps=_KINDS["Turbo"].steps))
    if FAMILIES[family].defaults.embeds_guidance:  # distilled once more, such a model still reads its number
        kind = replace(kind, overrides=msgspec.structs.replace(kind.overrides, guidance=None))
    parts = [kind, *([_guess_size(sources)] if family == "sd" else [])]
    if family == "sdxl":
        parts.append(_guess_tagged(sources))
        if any(re.search(r"sd[ _-]?xl[ _-]?turbo", source.text.lower()) for source in sources[:1]):
            parts.append(Guess(DefaultOverrides(native_px=512)))  # the first of them; merges paint at full size
        if predicts_v and not parts[0].reasons:
            parts.append(Guess(_V_XL, ("it predicts v",)))
    elif family == "sd" and (found := _CLIP_SKIP.search(notes.lower())) and 2 <= int(found[1]) <= 4:
        skipped = int(found[1])
        parts.append(Guess(DefaultOverrides(clip_skip=skipped), (f"its author says clip skip {skipped}",)))
    overrides, reasons = NO_OVERRIDES, tuple[str, ...]()
    for part in parts:
        overrides, reasons = overrides.merged(part.overrides), reasons + part.reasons
    return Guess(overrides, reasons)


def guess_for(entry: Entry, models_dir: Path) -> Guess:
    """Return the guess for a model in the register, by its small files. They are untrusted text.

    Raise `ConfigurationError` for one that is known to predict what no sampler here can use.
    """
    path = entry.place(models_dir)
    metadata = {} if path.is_dir() else read_tensors(path).metadata
    stated = [str(metadata.get(f"modelspec.{name}", "")) for name in ("title", "architecture")]
    card_file = path / _CARD if path.is_dir() else path.with_name(_CARD)
    has_card = path.is_dir() or bool(entry.source)  # a file in a folder of many shares no card with them
    card = read_card(card_file) if has_card else {}
    said = [str(card.get(name, "")) for name in ("model_name", "base_model", "tags")]
    sources = (
        Source("its name", " ".join((entry.name, path.name, entry.source))),
        Source("its page", entry.base_model),
        Source("its metadata", " ".join(stated)),
        Source("its card", " ".join(said)),
    )
    folder = models_dir / entry.config if entry.config else path
    scheduler = read_scheduler(folder, entry.family, file=path if entry.config else None, prediction=entry.prediction)
    notes = str(metadata.get("modelspec.usage_hint", "")) + (_read_text(card_file) if has_card else "")
    guess = guess_defaults(entry.family, sources, scheduler=scheduler, notes=notes)
    if guess.overrides.steps == 1 and guess.overrides.sampler == _KINDS["Lightning"].sampler and _is_lightning(sources):
        problem = f"{entry.name} is a Lightning of one step: it predicts the picture itself (x0), not its noise."
        raise ConfigurationError(problem=problem, remedy="Add the one of 2, 4 or 8 steps.")
    return guess


def guess_for_lora(entry: Entry, models_dir: Path) -> Guess:
    """Return the steps, guidance and sampler that a LoRA wants which makes a model paint in few steps; else nothing.

    What it was trained on does not count: a style for a Lightning model makes no other model fast.
    """
    path = entry.place(models_dir)
    title = str(read_tensors(path).metadata.get("modelspec.title", ""))
    return guess_lora(
        entry.family,
        (Source("its name", " ".join((entry.name, path.name, entry.source))), Source("its metadata", title)),
    )


def guess_lora(family: str, sources: Sequence[Source]) -> Guess:
    """Return the same from the texts."""
    is_flow = bool(family)  # LoRA of other models have none
    for source in sources:
        words = _split_words(source.text)
        kinds = _FLOW_KINDS if is_flow else _KINDS
        if not _find_steps(source.text) and not any(_LORA_NAMES.search(each) for each in (source.text.lower(), words)):
            kinds = {name: kind for name, kind in kinds.items() if name in _SURE}
        guess = _guess_kind((source,), kinds)
        if not guess.reasons:
            continue
        overrides = guess.overrides
        if overrides.sampler == _KINDS["Hyper"].sampler and re.search(r"(?<![a-z])cfg(?![a-z])", words):
            overrides = msgspec.structs.replace(overrides, guidance=_HYPER_CFG)
        elif overrides.sampler == _KINDS["Hyper"].sampler and overrides.steps == 1:
            overrides = msgspec.structs.replace(overrides, sampler=_ONE_STEP_HYPER)
        elif overrides.sampler == _KINDS["LCM"].sampler and not _find_steps(source.text):
            overrides = msgspec.structs.replace(overrides, steps=4, guidance=1.0)
        return Guess(overrides, guess.reasons)
    return Guess()


def _read_text(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", errors="replace") as opened:
            return opened.read(_MAX_CARD_CHARS)
    except OSError:
        return ""


def _guess_kind(sources: Sequence[Source], kinds: Mapping[str, _Distilled]) -> Guess:
    for source in sources:
        for name, kind in kinds.items():
            if _says(source.text, kind.pattern):
                counts = [number for each in sources for number in _find_steps(each.text) if number <= kind.most]
                said = f", {counts[0]} {'step' if counts[0] == 1 else 'steps'}" if counts else ""
                steps = counts[0] if counts else kind.steps
                overrides = DefaultOverrides(steps=steps, guidance=kind.guidance, sampler=kind.sampler)
                return Guess(overrides, (f"{source.origin} says {name}{said}",))
    return Guess()


def _is_lightning(sources: Sequence[Source]) -> bool:
    return any(_says(source.text, _KINDS["Lightning"].pattern) for source in sources)


def _add_scheduler(kind: Guess, scheduler: Mapping[str, Any]) -> Guess:
    """Return the guess with what the settings of a scheduler tell of a model that predicts noise."""
    name = str(scheduler.get("_class_name", ""))
    sampler = _TRAILING.get(name) if scheduler.get("timestep_spacing") == "trailing" else None
    if kind.reasons:
        is_turbo = kind.overrides.sampler == _KINDS["Turbo"].sampler
        return (
            replace(kind, overrides=msgspec.structs.replace(kind.overrides, sampler=sampler))
            if is_turbo and sampler
            else kind
        )
    if (of := _OF_SCHEDULER.get(name)) is not None:
        own = _KINDS[of]
        overrides = DefaultOverrides(steps=own.steps, guidance=own.guidance, sampler=own.sampler)
        return Guess(overrides, (f"its scheduler is that of {of}",))
    if sampler is None:
        return kind
    own = _KINDS["Turbo"]
    overrides = DefaultOverrides(steps=own.steps, guidance=own.guidance, sampler=sampler)
    return Guess(overrides, ("its scheduler begins at the last timestep, as those of Turbo do",))


def _find_steps(text: str) -> list[int]:
    return [int(number) for number in _STEPS.findall(_split_words(text)) if int(number)]


def _guess_size(sources: Iterable[Source]) -> Guess:
    for source in sources:
        if re.search(r"(?<!\d)768(?!\d)", source.text):
            return Guess(DefaultOverrides(native_px=768), (f"{source.origin} says 768",))
    return Guess()


def _guess_tagged(sources: Iterable[Source]) -> Guess:
    for source in sources:
        for name, overrides in _TAGGED.items():
            if _says(source.text, rf"(?<![a-z]){name.lower()}(?![a-z])"):
                return Guess(overrides, (f"{source.origin} says {name}",))
    return Guess()


def _says(text: str, pattern: str) -> bool:
    """Return whether a text, as it is or with its joined words apart, holds what a pattern describes."""
    return any(re.search(pattern, each) for each in (text.lower(), _split_words(text)))


def _split_words(text: str) -> str:
    return _CAMEL.sub(" ", text).lower()


GUESSES: Mapping[Kind, Callable[[Entry, Path], Guess]] = MappingProxyType(
    {Kind.MODEL: guess_for, Kind.LORA: guess_for_lora}
)
"""What guesses the defaults of a kind; others have none."""
