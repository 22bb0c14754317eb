"""Add-ons of a prompt: LoRA as `<lora:name:0.8>`, and textual inversions by their names.

Names are looked up among the files the operator has added and never become paths. What was found is recorded in the
spec with the SHA-256 of its file, so a picture does not change when a file does: it is refused instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from generation.errors import InvalidRequestError
from generation.requests.bases import name_family
from generation.requests.decimals import read_decimal
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides
from generation.requests.errors import (
    AddonChangedError,
    AddonMismatchError,
    AddonNamedTwiceError,
    AddonNameError,
    AddonNotRecordedError,
    LoraInNegativePromptError,
    LoraWeightError,
    TooManyEmbeddingsError,
    TooManyLorasError,
    UnknownEmbeddingError,
    UnknownLoraError,
    UnknownTagError,
)
from generation.requests.prompt_weights import SYNTAX
from generation.requests.ranges import is_number
from generation.requests.regions import check_regions, list_row_prompts
from generation.translatable import Phrase
from generation.validation import checked

MAX_ADAPTERS = 4
MAX_EMBEDDINGS = 8
MAX_WEIGHT = 2.0
MAX_NAME_CHARS = 64
MAX_LISTED = 20
"""Names that a refusal lists."""

_NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._+()-]{{0,{MAX_NAME_CHARS - 1}}}")
_LORA_TAGS = ("lora", "lyco")
"""LyCORIS files had a tag of their own once; the web UI and others now read both as the same."""
_TAG = re.compile(r"<(lora|lyco|hypernet):([^<>]*)>", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")


class AddedFile(Protocol):
    """A file that the operator added, and its SHA-256 then."""

    @property
    def name(self) -> str: ...
    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptAddon:
    """A small file that changes what a model paints: a LoRA or a textual inversion."""

    name: str
    path: Path
    sha256: str
    family: str = ""
    """Those in `bases.TRANSFORMERS` that it fits, blanks between; empty for one for Stable Diffusion 1, 2 or XL."""
    context_width: int = 0
    """Numbers a token that its kind of model reads from the prompt (`bases.BASES`); 0 where the file does not say."""
    licence: str = ""
    base_model: str = ""
    """What it was trained on, as its page names it; empty where that is not known."""
    trigger_words: tuple[str, ...] = ()
    """Words that its author says to write into a prompt."""
    page: str = ""
    defaults: DefaultOverrides = NO_OVERRIDES  # of a LoRA for few steps: these, guidance and sampler

    @property
    def note(self) -> str:
        """Its trigger words in one line."""
        return ", ".join(self.trigger_words)


@checked
@dataclass(frozen=True, slots=True)
class Embedding:
    """A textual inversion as one picture used it: its name, which is the word that calls it, and its file's SHA-256."""

    name: str
    sha256: str

    def __post_init__(self) -> None:
        check_file(self.name, self.sha256)


@checked
@dataclass(frozen=True, slots=True)
class Adapter:
    """A LoRA as one picture used it: name, SHA-256 of its file, and how strongly, -2 to 2."""

    name: str
    sha256: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_file(self.name, self.sha256)
        if not is_number(self.weight, int | float) or not abs(self.weight) <= MAX_WEIGHT:
            raise LoraWeightError(name=self.name, high=MAX_WEIGHT)

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
    def family(self) -> str: ...
    @property
    def context_width(self) -> int: ...
    @property
    def loras(self) -> tuple[PromptAddon, ...]: ...
    @property
    def embeddings(self) -> tuple[PromptAddon, ...]: ...


def read_prompts(model: AddonLibrary, prompt: str, negative: str = "", loras: Iterable[str] = ()) -> ParsedPrompts:
    """Take the LoRA tags out of a prompt, and find the textual inversions that both prompts call.

    `loras` are called after those of the prompt, each as `name` or `name:0.8`. Raise `InvalidRequestError` for a region
    that cannot be read, and for a LoRA that is not here, does not fit the model, is named twice or has no such weight.
    """
    adapters = (*(_read_tag(model, tag) for tag in _TAG.finditer(prompt)), *(_read_lora(model, each) for each in loras))
    if _TAG.search(negative):
        raise LoraInNegativePromptError
    if "<" in prompt or "<" in negative:
        check_regions(prompt, negative)
    fitting = {each.name.casefold(): each for each in model.embeddings if fits(model, each)}
    texts = (*list_row_prompts(prompt, SYNTAX), negative) if fitting else ()
    called = {word.casefold(): None for text in texts for word, is_name in split(text, fitting) if is_name}
    embeddings = tuple(Embedding(fitting[name].name, fitting[name].sha256) for name in called)
    if adapters or embeddings:
        check_extras(adapters, embeddings)
    return ParsedPrompts(" ".join(_TAG.sub(" ", prompt).split()), negative, adapters, embeddings)


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
    if len(adapters) > MAX_ADAPTERS:
        raise TooManyLorasError(most=MAX_ADAPTERS, number=len(adapters))
    if len(embeddings) > MAX_EMBEDDINGS:
        raise TooManyEmbeddingsError(most=MAX_EMBEDDINGS, number=len(embeddings))
    for called in (adapters, embeddings):
        names = [each.name for each in called]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise AddonNamedTwiceError(name=twice)


def check_known(model: AddonLibrary, adapters: Iterable[Adapter], embeddings: Iterable[Embedding]) -> None:
    """Raise `InvalidRequestError` unless everything a spec calls for is here, is the same file, and fits the model.

    For specs that were not just read from a prompt: those of old recipes, and of buttons under old pictures.
    """
    for adapter in adapters:
        _require_same(adapter, _find(adapter.name, model, model.loras, UnknownLoraError), model)
    for embedding in embeddings:
        _require_same(embedding, _find(embedding.name, model, model.embeddings, UnknownEmbeddingError), model)


def _require_same(called: Adapter | Embedding, extra: PromptAddon, model: AddonLibrary) -> None:
    _require_fit(model, extra)
    if extra.sha256 != called.sha256:
        raise AddonChangedError(name=called.name)


def is_name(text: str) -> bool:
    """Return whether a file may have that name: letters, digits and a few signs that stay in the folder."""
    return _NAME.fullmatch(text) is not None and not text.endswith((".", " ")) and ".." not in text


def fits(model: AddonLibrary, extra: PromptAddon) -> bool:
    """Return whether a file was made for this kind of model, as far as its header tells."""
    if extra.family or model.family not in ("", "sd", "sdxl"):  # those are told by what they read
        return model.family in extra.family.split()
    return 0 in (model.context_width, extra.context_width) or model.context_width == extra.context_width


def _read_tag(model: AddonLibrary, tag: re.Match[str]) -> Adapter:
    kind = tag[1].lower()
    if kind not in _LORA_TAGS:
        raise UnknownTagError(kind=kind)
    return _read_lora(model, tag[2])


def _read_lora(model: AddonLibrary, text: str) -> Adapter:
    name, *weights = (part.strip() for part in text.split(":"))
    extra = _find(name, model, model.loras, UnknownLoraError)
    _require_fit(model, extra)
    return Adapter(extra.name, extra.sha256, _read_weight(extra.name, weights))


def _read_weight(name: str, weights: list[str]) -> float:
    """Return the one weight of a tag: 1 if none is written.

    The web UI's second, for the UNet alone, must be the same.
    """
    first, *others = {read_decimal(weight) for weight in weights or ("1",)}
    if first is None or others or len(weights) > 2:
        raise LoraWeightError(name=name, high=MAX_WEIGHT)
    return first


def _find(
    name: str, model: AddonLibrary, here: Sequence[PromptAddon], unknown: type[InvalidRequestError]
) -> PromptAddon:
    """Find by exact name, else by the same letters in another case. Raise `unknown`, naming some that fit the model, if
    there is none."""
    alike = [each for each in here if each.name.casefold() == name.casefold()]
    found = [each for each in alike if each.name == name] or alike
    if found:
        return found[0]
    names = [each.name for each in here if fits(model, each)]
    shown = names if len(names) <= MAX_LISTED else [*names[:MAX_LISTED], "…"]
    raise unknown(name=name[:MAX_NAME_CHARS], available=", ".join(shown) or Phrase("none"))


def _require_fit(model: AddonLibrary, extra: PromptAddon) -> None:
    if not fits(model, extra):
        made_for = name_family(extra) or Phrase("another kind of model")
        raise AddonMismatchError(name=extra.name, made_for=made_for, model=model.name)


def check_file(name: Any, sha256: Any) -> None:
    """Raise `InvalidRequestError` unless a spec names a file as it must: a name, and a SHA-256."""
    if not isinstance(name, str) or not is_name(name):
        raise AddonNameError(name=str(name)[:MAX_NAME_CHARS])
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise AddonNotRecordedError(name=name)
