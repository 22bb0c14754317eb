"""Add-ons of a prompt: LoRA as `<lora:name:0.8>`, and textual inversions by their names.

Names are looked up among the files the operator has added and never become paths. What was found is recorded in the
spec with the SHA-256 of its file, so a picture does not change when a file does: it is refused instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from generation.errors import InvalidRequestError
from generation.requests.decimals import read_decimal
from generation.requests.prompt_weights import SYNTAX
from generation.translatable import Phrase
from generation.validation import checked

MAX_ADAPTERS = 4
MAX_EMBEDDINGS = 8
MAX_WEIGHT = 2.0
MAX_NAME_CHARS = 64
BASES = {768: "Stable Diffusion 1", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL"}
"""Well-known widths of what a UNet reads from the prompt, and whose they are."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._+()-]{{0,{MAX_NAME_CHARS - 1}}}")
_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]*)>", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAddon:
    """A small file that changes what a model paints: a LoRA or a textual inversion."""

    name: str
    path: Path
    sha256: str
    context_width: int = 0
    """Numbers a token that its kind of model reads from the prompt (`BASES`); 0 where the file does not say."""
    licence: str = ""


@checked
@dataclass(frozen=True, slots=True)
class Embedding:
    """A textual inversion as one picture used it: its name, which is the word that calls it, and its file's SHA-256."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        _check_extra(Phrase("embedding"), self.name, self.sha256)


@checked
@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA as one picture used it: name, SHA-256 of its file, and how strongly, -2 to 2."""

    name: str
    sha256: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        _check_extra(Phrase("LoRA"), self.name, self.sha256)
        if not isinstance(self.weight, int | float) or isinstance(self.weight, bool) or not math.isfinite(self.weight):
            problem = Phrase("must be a finite number.")
            raise InvalidRequestError(what=Phrase("The weight of the LoRA “{name}”", name=self.name), problem=problem)
        if abs(self.weight) > MAX_WEIGHT:
            problem = Phrase("must be from -{high} to {high}, not {weight}.", high=MAX_WEIGHT, weight=self.weight)
            raise InvalidRequestError(what=Phrase("The weight of the LoRA “{name}”", name=self.name), problem=problem)

    def __str__(self) -> str:
        """Return it as people write it in a prompt."""
        return f"<lora:{self.name}:{self.weight:g}>"


class ParsedPrompts(NamedTuple):
    """A prompt taken apart: the words the model reads, and the add-ons they call for."""

    prompt: str
    negative: str
    adapters: tuple[Adapter, ...]
    embeddings: tuple[Embedding, ...]
    syntax: int = SYNTAX
    """By which the prompts are read (`generation.requests.prompt_weights`)."""


class AddonLibrary(Protocol):
    """What reading a prompt needs to know of a model; `generation.models.catalog.Model` is one."""

    @property
    def name(self) -> str: ...
    @property
    def context_width(self) -> int: ...
    @property
    def loras(self) -> tuple[PromptAddon, ...]: ...
    @property
    def embeddings(self) -> tuple[PromptAddon, ...]: ...


def read_prompts(model: AddonLibrary, prompt: str, negative: str = "") -> ParsedPrompts:
    """Take the LoRA tags out of a prompt, and find the textual inversions that both prompts call.

    Raise `InvalidRequestError` for a LoRA that is not here (naming those that are), that was made for another kind of
    model, that is named twice, or whose weight is not a number from -2 to 2.
    """
    adapters = tuple(_read_tag(model, tag) for tag in _TAG.finditer(prompt))
    if _TAG.search(negative):
        problem = Phrase("cannot call a LoRA; write it into the prompt.")
        raise InvalidRequestError(what=Phrase("The negative prompt"), problem=problem)
    fitting = {each.name.casefold(): each for each in model.embeddings if fits(model, each)}
    called = {word.casefold(): None for text in (prompt, negative) for word, is_name in split(text, fitting) if is_name}
    embeddings = tuple(Embedding(fitting[name].name, fitting[name].sha256) for name in called)
    words = " ".join(_TAG.sub(" ", prompt).split())
    check_extras(adapters, embeddings)
    return ParsedPrompts(words, negative, adapters, embeddings)


def split(text: str, names: Iterable[str]) -> Iterator[tuple[str, bool]]:
    """Yield the text in pieces, each with whether it is one of the names, as a whole word in any case.

    Names are compared by `casefold`, as the callers look them up.
    """
    longest_first = sorted(names, key=len, reverse=True)
    if not longest_first:
        yield text, False
        return
    known = {name.casefold() for name in longest_first}
    pattern = "|".join(re.escape(name) for name in longest_first)
    for index, piece in enumerate(re.split(rf"(?<![\w-])({pattern})(?![\w-])", text, flags=re.IGNORECASE)):
        if piece:
            yield piece, index % 2 == 1 and piece.casefold() in known  # to `re`, U+0131 is an i


def check_extras(adapters: Sequence[Adapter], embeddings: Sequence[Embedding]) -> None:
    """Raise `InvalidRequestError` for too many, or for one that is named twice."""
    for what, called, most in (
        (Phrase("LoRA"), adapters, MAX_ADAPTERS),
        (Phrase("embeddings"), embeddings, MAX_EMBEDDINGS),
    ):
        names = [each.name for each in called]
        if len(names) > most:
            problem = Phrase("can be used at once, not {number}.", number=len(names))
            raise InvalidRequestError(what=Phrase("At most {most} {what}", most=most, what=what), problem=problem)
        if twice := next((name for name in names if names.count(name) > 1), None):
            problem = Phrase("is named twice among the {what}.", what=what)
            raise InvalidRequestError(what=Phrase("“{name}”", name=twice), problem=problem)


def check_known(model: AddonLibrary, adapters: Iterable[Adapter], embeddings: Iterable[Embedding]) -> None:
    """Raise `InvalidRequestError` unless everything a spec calls for is here, is the same file, and fits the model.

    For specs that were not just read from a prompt: those of old recipes, and of buttons under old pictures.
    """
    for what, called, here in (
        (Phrase("LoRA"), adapters, model.loras),
        (Phrase("embedding"), embeddings, model.embeddings),
    ):
        for each in called:
            extra = _find(what, each.name, here)
            _require_fit(what, model, extra)
            if extra.sha256 != each.sha256:
                problem = Phrase("is another file now than the one that picture was made with.")
                raise InvalidRequestError(
                    what=Phrase("The {what} “{name}”", what=what, name=each.name), problem=problem
                )


def is_name(text: str) -> bool:
    """Return whether a file may have that name: letters, digits and a few signs that stay in the folder."""
    return _NAME.fullmatch(text) is not None and not text.endswith((".", " ")) and ".." not in text


def fits(model: AddonLibrary, extra: PromptAddon) -> bool:
    """Return whether a file was made for this kind of model, as far as its header tells."""
    return 0 in (model.context_width, extra.context_width) or model.context_width == extra.context_width


def _read_tag(model: AddonLibrary, tag: re.Match[str]) -> Adapter:
    kind, inner = tag[1].lower(), tag[2]
    if kind != "lora":
        problem = Phrase("is not read here; <lora:name:0.8> is.")
        raise InvalidRequestError(what=Phrase("“<{kind}:…>”", kind=kind), problem=problem)
    name, *weights = (part.strip() for part in inner.split(":"))
    extra = _find(Phrase("LoRA"), name, model.loras)
    _require_fit(Phrase("LoRA"), model, extra)
    return Adapter(extra.name, extra.sha256, _read_weight(extra.name, weights))


def _read_weight(name: str, weights: list[str]) -> float:
    """Return the one weight of a tag: 1 if none is written.

    The web UI's second, for the UNet alone, must be the same.
    """
    numbers = {read_decimal(weight) for weight in weights or ("1",)}
    if None in numbers:
        problem = Phrase("is a number from -{high} to {high}: <lora:{name}:0.8>.", high=MAX_WEIGHT, name=name)
        raise InvalidRequestError(what=Phrase("The weight of the LoRA “{name}”", name=name), problem=problem)
    if len(numbers) > 1 or len(weights) > 2:
        problem = Phrase("is one number here, for text encoder and UNet alike: <lora:{name}:0.8>.", name=name)
        raise InvalidRequestError(what=Phrase("The weight of the LoRA “{name}”", name=name), problem=problem)
    return next(number for number in numbers if number is not None)


def _find(what: str, name: str, here: Sequence[PromptAddon]) -> PromptAddon:
    """Find by exact name, else by the same letters in another case."""
    found = [each for each in here if each.name == name] or [
        each for each in here if each.name.casefold() == name.casefold()
    ]
    if found:
        return found[0]
    shown = name[:MAX_NAME_CHARS] or Phrase("nothing")
    available = ", ".join(each.name for each in here) or Phrase("none")
    problem = Phrase("is not here. Available: {available}.", available=available)
    raise InvalidRequestError(what=Phrase("The {what} “{name}”", what=what, name=shown), problem=problem)


def _require_fit(what: str, model: AddonLibrary, extra: PromptAddon) -> None:
    if fits(model, extra):
        return
    made_for = BASES.get(extra.context_width, Phrase("another kind of model"))
    problem = Phrase("was made for {made_for} and does not fit “{name}”.", made_for=made_for, name=model.name)
    raise InvalidRequestError(what=Phrase("The {what} “{name}”", what=what, name=extra.name), problem=problem)


def _check_extra(what: str, name: Any, sha256: Any) -> None:
    if not isinstance(name, str) or not is_name(name):
        problem = Phrase("has a name none can have.")
        raise InvalidRequestError(
            what=Phrase("The {what} “{name}”", what=what, name=str(name)[:MAX_NAME_CHARS]), problem=problem
        )
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        problem = Phrase("is recorded without the SHA-256 of its file.")
        raise InvalidRequestError(what=Phrase("The {what} “{name}”", what=what, name=name), problem=problem)
