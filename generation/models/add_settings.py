"""The settings that a model in one file lacks when it is added, and the word list of a text encoder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from generation.errors import ConfigurationError
from generation.models.checkpoint import IncompatibleFileError, Shapes
from generation.models.clip_settings import build_clip_words
from generation.models.control_kinds import derive_settings as derive_control_settings
from generation.models.control_layout import SETTINGS
from generation.models.families import FAMILIES
from generation.models.gguf_words import read_gguf_words
from generation.models.inspect import Description, stated_px
from generation.models.named_parts import Parts
from generation.models.part_settings import (
    find_text_kind,
    find_words,
    read_text_settings,
    read_vae_settings,
    read_words,
)
from generation.models.registry import Kind, ModelRegistry
from generation.models.safetensors_header import read_tensors
from generation.models.single_file_settings import derive_settings, list_settings, write_settings
from generation.models.text_files import CLIP, T5
from generation.models.transformer_file import build_index, derive_scheduler, derive_transformer, list_vae_settings


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
        yield _find_words(path, config)
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
        if FAMILIES[found.family].reads_clip:
            has_vae = parts.vae is not None
            files = derive_settings(tensors.shapes, found.family, hint=hint, has_other_vae=has_vae)
        else:
            files = _gather_settings(models_dir, tensors.shapes, found.family, hint, parts)
        return write_settings(models_dir, files, found.family)
    except IncompatibleFileError as error:
        raise ConfigurationError(problem=f"{file} {error}.", remedy=error.remedy) from None
    except OSError as error:
        problem = f"{models_dir} cannot be written ({type(error).__name__})."
        raise ConfigurationError(problem=problem, remedy="Set ATELIER_MODELS_DIR to a folder of yours.") from None


def _gather_settings(models_dir: Path, shapes: Shapes, family: str, hint: str, parts: Parts) -> Mapping[str, Any]:
    """Return the settings of a transformer in one file with those of its parts, and the word lists."""
    assert parts.vae is not None
    files: dict[str, Any] = {
        "model_index.json": build_index(family, hint=hint),
        "scheduler/scheduler_config.json": derive_scheduler(shapes, family),
        "transformer/config.json": derive_transformer(shapes, family),
    }
    texts = {part: entry for part, entry in parts.named.items() if part != "vae"}
    settings = {part: read_text_settings(entry.place(models_dir)) for part, entry in texts.items()}
    files |= {f"{part}/config.json": each for part, each in settings.items()}
    vae = parts.vae.place(models_dir)
    files["vae/config.json"] = {**read_vae_settings(vae), **(list_vae_settings(family) if vae.is_file() else {})}
    for part, entry in texts.items():
        words = read_words(models_dir / entry.config) if entry.config else build_clip_words(settings[part])
        folder = part.replace("text_encoder", "tokenizer")
        files |= {f"{folder}/{name}": content for name, content in words.items()}
    return files


def _read_kind(path: Path) -> str:
    return find_text_kind(read_text_settings(path))


def _read_own_words(path: Path, config: str | None) -> Mapping[str, bytes]:
    """Return the word list in a text encoder's own file, where no other is named or lies beside it."""
    has_none = config is None and path.is_file() and find_words(path, _read_kind(path)) is None
    return read_gguf_words(path) if has_none else {}


def _find_words(path: Path, config: str | None) -> Path | None:
    """Return the folder with the word list of a text encoder; None for CLIP without one, whose words are known.

    Raise `ConfigurationError` if there is none.
    """
    kind = _read_kind(path)
    words = find_words(path, kind, resolve(Path(config)) if config is not None else None)
    if words is None and (kind != CLIP or config is not None):
        where, files = (
            config or path,
            "tokenizer.json" if kind == T5 else "tokenizer.json, or vocab.json and merges.txt",
        )
        remedy = f"Name the folder of its tokenizer ({files}) with --config."
        if kind == T5:
            remedy = f"{remedy.removesuffix('.')}, or a model on the hub: --config black-forest-labs/FLUX.1-schnell."
        raise ConfigurationError(problem=f"There is no word list for a text encoder at {where}.", remedy=remedy)
    return words


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
