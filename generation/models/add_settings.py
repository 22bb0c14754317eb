"""What a model that is added lacks: the settings of a single file, and the parts that it takes from others."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from generation.errors import ConfigurationError
from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.control_kinds import derive_settings as derive_control_settings
from generation.models.control_layout import SETTINGS
from generation.models.families import BY_PIPELINE, FAMILIES, FamilyInfo
from generation.models.gguf_words import read_gguf_words
from generation.models.inspect import Description, describe, stated_px
from generation.models.json_file import read_json
from generation.models.named_parts import Parts
from generation.models.names import label, label_one, name_for
from generation.models.part_settings import (
    count_latent_channels,
    find_vae_class,
    find_words,
    read_text_settings,
    read_vae_settings,
    read_words,
)
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.safetensors_header import read_tensors
from generation.models.single_file_settings import derive_settings, list_settings, write_settings
from generation.models.transformer_file import build_index, derive_scheduler, derive_transformer
from generation.program import format_command

AddPart = Callable[[Path, str], Entry]
"""Adds what lies at a path, under a name."""
_OPTIONS = {Kind.VAE: "--vae", Kind.TEXT_ENCODER: "--text-encoder", Kind.IMAGE_ENCODER: "--image-encoder"}

_EDITS = re.compile(r"(?<![a-z])edit(?![a-z])")


class Wanted(NamedTuple):
    """What an operator named: names in the register, or paths."""

    config: str | None = None
    vae: str | None = None
    text_encoder: str | None = None


def name_parts(models_dir: Path, path: Path, found: Description, wanted: Wanted, add_part: AddPart) -> Parts:
    """Return the parts that a model takes from others; `add_part` adds one that is named by its path.

    A transformer in one file takes both: those named, or those in the folder of its settings. Raise
    `ConfigurationError` for one that is missing, or of another kind, or does not fit.
    """
    if found.kind is not Kind.MODEL:
        for option, given in (("--vae", wanted.vae), ("--text-encoder", wanted.text_encoder)):
            if given is not None:
                raise ConfigurationError(problem=f"{option} is for models.", remedy="Leave it out.")
        return Parts()
    info = FAMILIES[found.family]
    if wanted.text_encoder is not None and info.reads_clip:
        problem = f"--text-encoder is not for {info.title}, whose text encoders are part of it."
        raise ConfigurationError(problem=problem, remedy="Leave it out.")
    if wanted.text_encoder is not None and "processor" in info.components:
        problem = f"--text-encoder is not for {info.title}: of one by itself only the half that reads is used, and the"
        raise ConfigurationError(problem=f"{problem} prompts of this one see pictures.", remedy="Leave it out.")
    if path.is_file() and not info.reads_clip:
        _refuse_file_that_edits(models_dir, path, info, wanted.config)
        wanted = _complete(models_dir, path, wanted)
    parts = Parts(
        vae=find_part(models_dir, wanted.vae, Kind.VAE, add_part),
        text_encoder=find_part(models_dir, wanted.text_encoder, Kind.TEXT_ENCODER, add_part),
    )
    _require_fit(models_dir, path, info, parts)
    return parts


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


def _complete(models_dir: Path, path: Path, wanted: Wanted) -> Wanted:
    """Return both parts of a transformer in one file. Raise `ConfigurationError` naming one that is missing."""
    folder = _find_settings(models_dir, wanted.config)
    vae, text = wanted.vae or _beside(folder, "vae"), wanted.text_encoder or _beside(folder, "text_encoder")
    if vae is None or text is None:
        missing = "VAE" if vae is None else "text encoder"
        problem = f"{path} is a transformer alone, and its {missing} is not named."
        remedy = "Name both parts, as they were added or by their path: --text-encoder NAME|PATH --vae NAME|PATH."
        raise ConfigurationError(problem=problem, remedy=remedy)
    return wanted._replace(vae=vae, text_encoder=text)


def _require_fit(models_dir: Path, path: Path, info: FamilyInfo, parts: Parts) -> None:
    """Raise `ConfigurationError` unless parts are of the sizes of those that they replace."""
    if parts.vae is not None:
        channels, needed = count_latent_channels(parts.vae.place(models_dir)), info.latent_channels
        if channels != needed:
            problem = f"The VAE {parts.vae.name} has {channels} latent channels, and {info.title} needs {needed}."
            raise ConfigurationError(problem=problem, remedy="Name the VAE of this kind of model.")
        named = find_vae_class(parts.vae.place(models_dir))
        if not info.reads_clip and named != info.components["vae"]:
            problem = f"The VAE {parts.vae.name} is of the kind {named or 'unknown'}, and {info.title} needs"
            remedy = "Name the VAE of this kind of model."
            raise ConfigurationError(problem=f"{problem} {info.components['vae']}.", remedy=remedy)
    own = path / "text_encoder"
    if parts.text_encoder is not None and (own / "config.json").is_file():
        theirs, ours = (read_text_settings(each) for each in (parts.text_encoder.place(models_dir), own))
        for name in ("hidden_size", "num_hidden_layers", "vocab_size"):
            if theirs.get(name) != ours.get(name):
                problem = f"The text encoder {parts.text_encoder.name} has a {name} of {theirs.get(name)}, and"
                raise ConfigurationError(
                    problem=f"{problem} {path} needs {ours.get(name)}.", remedy="Name one of the same kind."
                )


def _beside(folder: Path | None, part: str) -> str | None:
    there = folder is not None and (folder / part / "config.json").is_file()
    return str(folder / part) if folder is not None and there else None


def _find_settings(models_dir: Path, config: str | None) -> Path | None:
    if config is None:
        return None
    known = ModelRegistry.read(models_dir).get(config)
    return known.place(models_dir) if known is not None else resolve(Path(config))


def find_part(models_dir: Path, wanted: str | None, kind: Kind, add_part: AddPart) -> Entry | None:
    """Return a part by its name or path; one that was not added is added now."""
    if wanted is None:
        return None
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
        raise ConfigurationError(problem=problem, remedy=f"Name another with {_OPTIONS[kind]}.")
    return add_part(path, name_for(path) if path.is_file() else f"{name_for(path)}-{kind}")


@contextmanager
def open_settings(
    register: ModelRegistry,
    models_dir: Path,
    path: Path,
    found: Description,
    config: str | None,
    parts: Parts,
) -> Iterator[Path | None]:
    """Yield the folder for the settings of a model in one file, or the word list of a text encoder; else None.

    Without `config` a model's, or a ControlNet's, is written from the file's header. It goes again if the file is not
    added in the end.
    """
    words = _read_own_words(path, config) if found.kind is Kind.TEXT_ENCODER else {}
    if found.kind is Kind.TEXT_ENCODER and not words:
        yield _require_words(path, config)
        return
    takes_config = found.kind is Kind.MODEL and path.is_file()
    if not words and not takes_config and (config is not None or found.kind is not Kind.CONTROL or path.is_dir()):
        if config is not None:
            raise ConfigurationError(
                problem="--config is for models in one file and for text encoders.", remedy="Leave it out."
            )
        yield None
        return
    if config is not None:
        known = register.get(config)
        yield known.place(models_dir) if known is not None else resolve(Path(config))
        return
    before = set(list_settings(models_dir))
    written = write_settings(models_dir, words, "words") if words else _write_settings(models_dir, path, found, parts)
    try:
        yield written
    except BaseException:
        if written not in before:
            shutil.rmtree(written, ignore_errors=True)
        raise


def _write_settings(models_dir: Path, file: Path, found: Description, parts: Parts) -> Path:
    """Write the settings that a model in one file lacks, as its header has them, and return their folder."""
    tensors = read_tensors(file)
    hint = f"{file.stem} {stated_px(tensors.metadata) or ''}"
    try:
        if found.kind is Kind.CONTROL:
            settings = {f"{SETTINGS}/config.json": derive_control_settings(tensors.shapes, file)}
            return write_settings(models_dir, settings, f"{SETTINGS}-{found.family}")
        if parts.vae is not None and parts.text_encoder is not None:
            files = _gather_settings(models_dir, tensors.shapes, found.family, hint, parts.vae, parts.text_encoder)
        else:
            has_vae = parts.vae is not None
            files = derive_settings(tensors.shapes, found.family, hint=hint, has_other_vae=has_vae)
        return write_settings(models_dir, files, found.family)
    except IncompatibleFileError as error:
        raise ConfigurationError(problem=f"{file} {error}.", remedy=error.remedy) from None
    except OSError as error:
        problem = f"{models_dir} cannot be written ({type(error).__name__})."
        raise ConfigurationError(problem=problem, remedy="Set ATELIER_MODELS_DIR to a folder of yours.") from None


def _gather_settings(
    models_dir: Path, shapes: Shapes, family: str, hint: str, vae: Entry, text: Entry
) -> Mapping[str, Any]:
    """Return the settings of a transformer in one file with those of its parts, and the word list."""
    words = read_words(models_dir / text.config)
    return {
        "model_index.json": build_index(family, hint=hint),
        "scheduler/scheduler_config.json": derive_scheduler(family),
        "transformer/config.json": derive_transformer(shapes, family),
        "text_encoder/config.json": read_text_settings(text.place(models_dir)),
        "vae/config.json": read_vae_settings(vae.place(models_dir)),
        **{f"tokenizer/{name}": content for name, content in words.items()},
    }


def _read_own_words(path: Path, config: str | None) -> Mapping[str, bytes]:
    """Return the word list in a text encoder's own file, where no other is named or lies beside it."""
    return read_gguf_words(path) if config is None and path.is_file() and find_words(path) is None else {}


def _require_words(path: Path, config: str | None) -> Path:
    """Return the folder with the word list of a text encoder. Raise `ConfigurationError` if there is none."""
    words = find_words(path, resolve(Path(config)) if config is not None else None)
    if words is None:
        where = config or path
        remedy = "Name the folder of its tokenizer (tokenizer.json, or vocab.json and merges.txt) with --config."
        raise ConfigurationError(problem=f"There is no word list for a text encoder at {where}.", remedy=remedy)
    return words


def _exists(text: str) -> bool:
    try:
        return Path(text).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False


def resolve(path: Path) -> Path:
    """Return the absolute path. Raise `ConfigurationError` if it does not exist or is not a path."""
    try:
        there = path.expanduser().absolute()
        if there.exists():
            return there
    except (OSError, ValueError, RuntimeError):  # a NUL in it, a name too long, no home
        pass
    remedy = "Name a file, a folder, or a model on the hub as owner/name."
    raise ConfigurationError(problem=f"There is nothing at {str(path)[:200]!r}.", remedy=remedy)


def make_relative(path: Path, models_dir: Path) -> str:
    """Return a relative path inside the models folder, so that the folder can be moved; else an absolute one."""
    root = models_dir.absolute()
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
