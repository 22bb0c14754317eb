"""The parts that a model takes from elsewhere when it is added: named, or in the folder of its settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from generation.errors import ConfigurationError
from generation.models.add_settings import resolve
from generation.models.families import BY_PIPELINE, FAMILIES, FamilyInfo
from generation.models.inspect import Description, describe
from generation.models.json_file import read_json
from generation.models.named_parts import Parts, kind_of
from generation.models.names import label, label_one, name_for
from generation.models.part_settings import (
    count_latent_channels,
    find_text_kind,
    find_vae_class,
    find_words,
    read_text_settings,
    title_text_kind,
)
from generation.models.parts_inside import list_inside, take_out
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.safetensors_header import read_tensors
from generation.models.text_files import CLIP, T5
from generation.program import format_command

AddPart = Callable[[Path, str, str | None], Entry]
"""Adds what lies at a path, under a name, with a folder that has its word list."""
_IMAGE_ENCODER = "image_encoder"
_EDITS = re.compile(r"(?<![a-z])edit(?![a-z])")
_KINDS = {"CLIPTextModel": CLIP, "CLIPTextModelWithProjection": CLIP, "T5EncoderModel": T5}
"""The kind of text encoder by its class, where that is no language model."""
_SIZES = ("hidden_size", "num_hidden_layers", "d_model", "num_layers", "vocab_size")


class Wanted(NamedTuple):
    """What an operator named: names in the register, or paths. `parts`: by their folder in a model."""

    config: str | None
    parts: Mapping[str, str]


def name_parts(models_dir: Path, path: Path, found: Description, wanted: Wanted, add_part: AddPart) -> Parts:
    """Return the parts that a model takes from others; `add_part` adds one that is named by its path.

    A transformer in one file takes all: those named, or those in the folder of its settings. Raise
    `ConfigurationError` for one that is missing, or of another kind, or does not fit.
    """
    if found.kind is not Kind.MODEL:
        for part in wanted.parts:
            raise ConfigurationError(problem=f"{option_of(part)} is for models.", remedy="Leave it out.")
        return Parts()
    info = FAMILIES[found.family]
    _refuse_other_parts(info, wanted.parts)
    named = dict(wanted.parts)
    if path.is_file() and not info.reads_clip:
        _refuse_file_that_edits(models_dir, path, info, wanted.config)
        named = _complete(models_dir, path, info, wanted, add_part)
    parts = Parts(**{part: find_part(models_dir, named[part], part, add_part) for part in named})
    _require_fit(models_dir, path, info, parts)
    return parts


def option_of(part: str) -> str:
    """Return the option that names a part."""
    return f"--{part.replace('_', '-')}"


def _refuse_other_parts(info: FamilyInfo, named: Mapping[str, str]) -> None:
    """Raise `ConfigurationError` for a text encoder that a family does not have, or reads for itself."""
    texts = [part for part in named if part != "vae"]
    if texts and info.reads_clip:
        problem = f"{option_of(texts[0])} is not for {info.title}, whose text encoders are part of it."
        raise ConfigurationError(problem=problem, remedy="Leave it out.")
    if texts and "processor" in info.components:
        problem = f"--text-encoder is not for {info.title}: of one by itself only the half that reads is used, and the"
        raise ConfigurationError(problem=f"{problem} prompts of this one see pictures.", remedy="Leave it out.")
    for part in texts:
        if part not in info.text_encoders:
            has = " and ".join(f"{option_of(each)} ({_title(info, each)})" for each in info.text_encoders)
            raise ConfigurationError(problem=f"{option_of(part)} is not for {info.title}.", remedy=f"It has {has}.")


def _refuse_file_that_edits(models_dir: Path, path: Path, info: FamilyInfo, config: str | None) -> None:
    """Raise `ConfigurationError` for a file that edits: its shapes are those of a model that does not, its name or its
    settings tell."""
    index = (_find_settings(models_dir, config) or path) / "model_index.json"
    named = BY_PIPELINE.get(str(read_json(index).get("_class_name")), ()) if index.is_file() else ()
    edits = any("processor" in each.components for each in named)
    if edits or (info.name == "qwenimage" and _EDITS.search(path.stem.lower())):
        problem = (
            f"{path} is Qwen-Image-Edit {'by its settings' if edits else 'by its name'}, whose words see pictures."
        )
        raise ConfigurationError(problem=problem, remedy="Add its whole folder: single files of it are not read.")


def _complete(models_dir: Path, path: Path, info: FamilyInfo, wanted: Wanted, add_part: AddPart) -> dict[str, str]:
    """Return all parts of a transformer in one file: those named, else those in it, else those of its settings.

    Raise `ConfigurationError` naming those that are missing.
    """
    folder = _find_settings(models_dir, wanted.config)
    needed = (*info.text_encoders, "vae")
    beside = {part: name for part in needed if (name := _beside(folder, part, info)) is not None}
    inside = list_inside(read_tensors(path).shapes, info)
    if missing := [part for part in needed if part not in {*beside, *inside, *wanted.parts}]:
        titles = [_title_part(info, part) for part in missing]
        what = "does not hold all its parts" if inside else "is a transformer alone"
        problem = f"{path} {what}, and {_join(titles)} {'is' if len(titles) == 1 else 'are'} not named."
        options = " ".join(f"{option_of(part)} NAME|PATH" for part in needed)
        remedy = f"Name its parts, as they were added or by their path: {options}."
        raise ConfigurationError(problem=problem, remedy=remedy)
    taken = {
        part: _take_out(models_dir, path, part, prefix, folder, add_part)
        for part, prefix in inside.items()
        if part not in wanted.parts
    }
    every = {**beside, **taken, **wanted.parts}
    return {part: every[part] for part in needed}


def _take_out(models_dir: Path, path: Path, part: str, prefix: str, folder: Path | None, add_part: AddPart) -> str:
    """Add a part that lies in a whole checkpoint as a file of its own. Return its name, or that of the same one.

    The word list of a text encoder is that of the settings, else that of another one of its kind.
    """
    entries = [each for each in ModelRegistry.read(models_dir).entries if each.kind is kind_of(part)]
    name = f"{name_for(path)}-{'vae' if part == 'vae' else prefix.split('.')[1]}"
    target = models_dir.absolute() / f"{name}.safetensors"
    if known := next((each.name for each in entries if each.place(models_dir) == target), ""):
        return known
    sha256 = take_out(path, prefix, target)
    if same := next((each.name for each in entries if list(each.files.values()) == [sha256]), ""):
        target.unlink()
        return same
    try:
        words = None if part == "vae" else _find_words(models_dir, target, folder, entries)
        return add_part(target, name, words).name
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _find_words(models_dir: Path, text: Path, folder: Path | None, others: Sequence[Entry]) -> str | None:
    """Return where the word list of a text encoder lies; None for CLIP, and where none is known."""
    if (kind := find_text_kind(read_text_settings(text))) == CLIP:
        return None
    alike = (
        models_dir / each.config
        for each in others
        if each.config and find_text_kind(read_text_settings(each.place(models_dir))) == kind
    )
    places = (*([folder] if folder is not None else []), *alike)
    return next((str(place) for place in places if find_words(text, kind, place) is not None), None)


def _join(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _title_part(info: FamilyInfo, part: str) -> str:
    """Return what a part is called in a sentence, with its kind where there are several text encoders."""
    if part == "vae":
        return "its VAE"
    return (
        "its text encoder" if len(info.text_encoders) == 1 else f"its {part.replace('_', ' ')} ({_title(info, part)})"
    )


def _title(info: FamilyInfo, part: str) -> str:
    return title_text_kind(_kind_needed(info, part))


def _kind_needed(info: FamilyInfo, part: str) -> str:
    classes = info.components[part]
    return info.language or _KINDS[classes if isinstance(classes, str) else classes[0]]


def _require_fit(models_dir: Path, path: Path, info: FamilyInfo, parts: Parts) -> None:
    """Raise `ConfigurationError` unless parts are of the kinds and sizes of those that they replace."""
    if parts.vae is not None:
        _require_vae(parts.vae.place(models_dir), parts.vae.name, info)
    for part, entry in parts.named.items():
        if part == "vae":
            continue
        settings, needed = read_text_settings(entry.place(models_dir)), _kind_needed(info, part)
        if (kind := find_text_kind(settings)) != needed and not info.language:
            problem = f"The text encoder {entry.name} is {title_text_kind(kind)}, and {option_of(part)} of {info.title}"
            others = [each for each in info.text_encoders if _kind_needed(info, each) == kind]
            remedy = f"Name it with {option_of(others[0])}." if others else "Name one of that kind."
            raise ConfigurationError(problem=f"{problem} is {title_text_kind(needed)}.", remedy=remedy)
        own = path / part / "config.json"
        ours = read_text_settings(own.parent) if own.is_file() else settings
        for name in _SIZES:
            if settings.get(name) != ours.get(name):
                problem = f"The text encoder {entry.name} has a {name} of {settings.get(name)}, and"
                raise ConfigurationError(
                    problem=f"{problem} {path} needs {ours.get(name)}.", remedy="Name one of the same kind."
                )


def _require_vae(vae: Path, name: str, info: FamilyInfo) -> None:
    channels, needed = count_latent_channels(vae), info.latent_channels
    if channels != needed:
        problem = f"The VAE {name} has {channels} latent channels, and {info.title} needs {needed}."
        raise ConfigurationError(problem=problem, remedy="Name the VAE of this kind of model.")
    found = find_vae_class(vae)
    if not info.reads_clip and found != info.components["vae"]:
        problem = f"The VAE {name} is of the kind {found or 'unknown'}, and {info.title} needs"
        remedy = "Name the VAE of this kind of model."
        raise ConfigurationError(problem=f"{problem} {info.components['vae']}.", remedy=remedy)


def _beside(folder: Path | None, part: str, info: FamilyInfo) -> str | None:
    """Return the part of a model folder, unless that is no model of this kind: then nothing of it is added."""
    if folder is None or not (folder / part / "config.json").is_file():
        return None
    is_other = part != "vae" and find_text_kind(read_text_settings(folder / part)) != _kind_needed(info, part)
    return None if is_other else str(folder / part)


def _find_settings(models_dir: Path, config: str | None) -> Path | None:
    if config is None:
        return None
    known = ModelRegistry.read(models_dir).get(config)
    return known.place(models_dir) if known is not None else resolve(Path(config))


def find_part(models_dir: Path, wanted: str, part: str, add_part: AddPart) -> Entry:
    """Return a part by its name or path; one that was not added is added now.

    `part`: its folder in a model, or `image_encoder`. Raise `ConfigurationError` for another kind, or none.
    """
    kind = Kind.IMAGE_ENCODER if part == _IMAGE_ENCODER else kind_of(part)
    register = ModelRegistry.read(models_dir)
    if (named := register.get(wanted)) is not None and named.kind is kind:
        return named
    remedy = f"Add it first: {format_command('models add FILE')}."
    if named is not None or not _exists(wanted):
        raise ConfigurationError(problem=f"There is no {label(kind)} “{wanted[:80]}”.", remedy=remedy)
    path = resolve(Path(wanted))
    known = next((each for each in register.entries if each.place(models_dir) == path and each.kind is kind), None)
    if known is not None:
        return known
    try:
        is_kind = describe(path).kind
    except ValueError as error:
        raise ConfigurationError(problem=f"{path} {error}.", remedy="It was not added.") from None
    if is_kind is not kind:
        problem = f"{path} is {label_one(is_kind)}, not {label_one(kind)}."
        raise ConfigurationError(problem=problem, remedy=f"Name another with {option_of(part)}.")
    name = name_for(path) if path.is_file() else f"{name_for(path)}-{part.replace('_', '-')}"
    return add_part(path, name, None)


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
