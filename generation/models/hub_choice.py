"""Which files of a hub's repository are fetched: a model's, a text encoder's with its word list, or one by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from huggingface_hub.hf_api import RepoSibling

from generation.errors import ConfigurationError
from generation.models.families import FAMILIES
from generation.models.ip_adapter_layout import is_image_encoder
from generation.models.layout import is_settings
from generation.models.part_settings import TOKENIZERS, WORD_FILES, find_text_kind, has_words, list_text_kinds
from generation.models.text_files import T5

Files = Mapping[str, RepoSibling]
ReadSettings = Callable[[str], Mapping[str, Any]]
"""Fetches a small JSON file of the repository and returns what it holds."""
_PIECES = "spiece.model"
SUFFIXES = (".safetensors", ".gguf")
INDEX, CARD = "model_index.json", "README.md"
_PARTS = frozenset(part for family in FAMILIES.values() for part in family.components) | {"scheduler", "safety_checker"}
_WEIGHTS = re.compile(r"(diffusion_pytorch_model|model)(?P<half>\.fp16)?(-\d{5}-of-\d{5})?\.safetensors")


class Choice(NamedTuple):
    """The files to fetch, and what of them is added: a folder, or a file. `words`: the folder of a word list."""

    files: tuple[RepoSibling, ...]
    path: str = "."
    words: str | None = None


def choose(repo: str, there: Files, wanted: str | None, *, half: bool, read_settings: ReadSettings) -> Choice:
    """Return what to fetch for `wanted`, a file or a folder, or for the whole repository.

    Raise `ConfigurationError` if there is nothing of use.
    """
    card = (there[CARD],) if CARD in there else ()
    if wanted is not None and wanted.endswith(SUFFIXES):
        return Choice((*card, there[one_file(repo, there, wanted)]), wanted)
    if wanted is None and INDEX in there:
        return Choice((*card, there[INDEX], *_layout(repo, there, half=half)))
    folder = wanted or "."
    settings = f"{folder}/config.json".removeprefix("./")
    if settings in there and (kind := find_text_kind(read_settings(settings))):
        words = find_word_list(there, folder, kind)
        inside = _inside(there, folder)
        own = [each for name, each in inside.items() if is_settings(PurePosixPath(name).name)]
        weights = _weights(repo, "text encoder", inside, half=half)
        return Choice((*card, *own, *weights, *take_word_list(there, words, but=folder)), folder, words)
    if settings in there and is_image_encoder(read_settings(settings)):
        inside = _inside(there, folder)
        own = [each for name, each in inside.items() if is_settings(PurePosixPath(name).name)]
        return Choice((*card, *own, *_weights(repo, "image encoder", inside, half=half)), folder)
    if wanted is not None:
        problem = f"{repo} has no text encoder or image encoder in {wanted} that is read here."
        raise ConfigurationError(problem=problem, remedy=f"Of text encoders, these are read here: {list_text_kinds()}.")
    file = one_file(repo, there, None)
    return Choice((*card, there[file]), file)


def find_word_list(there: Files, folder: str, kind: str) -> str | None:
    """Return the folder of the word list for what lies in `folder`, a text encoder of that kind: there, in `tokenizer`
    beside it, or at the top. That of T5 has a table of pieces beside it, as no other has."""
    here = PurePosixPath(folder)
    own = here.parent / here.name.replace("text_encoder", "tokenizer")
    beside = (place / name for place in (here, here.parent, PurePosixPath(".")) for name in TOKENIZERS)
    places = (here, own, *beside, PurePosixPath("."))
    wanted = {"tokenizer.json", _PIECES} if kind == T5 else set[str]()
    names = ((place, _names(there, str(place))) for place in places)
    return next((str(place) for place, each in names if has_words(each) and wanted <= each), None)


def take_word_list(there: Files, folder: str | None, *, but: str | None = None) -> tuple[RepoSibling, ...]:
    """Return the files of the word list in `folder`; none if that is `but`, whose files are taken anyway."""
    if folder is None or folder == but:
        return ()
    return tuple(each for name, each in _inside(there, folder).items() if PurePosixPath(name).name in WORD_FILES)


def one_file(repo: str, there: Files, file: str | None) -> str:
    """Return the file that is meant, by its name. Raise `ConfigurationError` if it is not there, or there are more."""
    offered = [name for name in there if name.endswith(SUFFIXES)]
    if file is not None and file in there:
        return file
    if file is None and len(offered) == 1:
        return offered[0]
    if not offered:
        problem = f"{repo} holds no model in the diffusers layout and no .safetensors file."
        raise ConfigurationError(problem=problem, remedy="Other formats can run code and are never opened.")
    shown = ", ".join(offered[:10]) + (" …" if len(offered) > 10 else "")
    wanted = f"{repo} has no file {file}." if file else f"{repo} holds {len(offered)} files of weights."
    raise ConfigurationError(problem=wanted, remedy=f"Name one: {repo}/FILE. There are: {shown}.")


def _layout(repo: str, there: Files, *, half: bool) -> list[RepoSibling]:
    chosen: list[RepoSibling] = []
    for part in sorted(_PARTS):
        inside = _inside(there, part)
        chosen += [each for name, each in inside.items() if is_settings(PurePosixPath(name).name)]
        chosen += _weights(repo, part, inside, half=half)
    return chosen


def _weights(repo: str, part: str, inside: Files, *, half: bool) -> list[RepoSibling]:
    matches = {name: _WEIGHTS.fullmatch(PurePosixPath(name).name) for name in inside}
    full = [name for name, found in matches.items() if found and not found["half"]]
    halved = [name for name, found in matches.items() if found and found["half"]]
    if not full and not halved and any(name.endswith(".bin") for name in inside):
        problem = f"{repo} has its {part} only in a format that can run code (.bin)."
        raise ConfigurationError(problem=problem, remedy="Look for a repository with .safetensors files.")
    taken = halved if halved and (half or not full) else full
    return [inside[name] for name in taken]


def _inside(there: Files, folder: str) -> dict[str, RepoSibling]:
    return {name: each for name, each in there.items() if PurePosixPath(name).parent == PurePosixPath(folder)}


def _names(there: Files, folder: str) -> set[str]:
    return {PurePosixPath(name).name for name in _inside(there, folder)}
