"""Where `models add` takes things from: a path, the Hugging Face hub, Civitai."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from generation.errors import ConfigurationError
from generation.models.inspect import read_text_kind
from generation.models.links import CivitaiLink, HubLink, is_url, parse_link
from generation.models.names import check_name, name_for
from generation.models.origin import LOCAL, Origin
from generation.models.registry import TEXT_PARTS, ModelRegistry

Say = Callable[[str], None]


class Source(NamedTuple):
    """Where it lies, what it is called if that is settled, where it came from, and its word list if that came too."""

    path: Path
    name: str | None = None
    origin: Origin = LOCAL
    words: Path | None = None


def fetch_source(
    models_dir: Path,
    what: str,
    *,
    say: Say,
    name: str | None,
    revision: str | None,
    half: bool,
    replaces: bool,
    civitai_token: str,
) -> Source:
    """Return what is added, fetched if need be. Raise `ConfigurationError` if that fails."""
    from generation.models.hub import fetch, is_hub_id  # only here: listing and verifying need no network library

    link = parse_link(what) if is_url(what) else None
    if is_url(what) and link is None:
        problem = f"{what[:120]} is no link to a model of the Hugging Face hub or of Civitai."
        raise ConfigurationError(problem=problem, remedy="Download the file, and add its path.")
    if isinstance(link, CivitaiLink):
        return _fetch_civitai(
            models_dir, link, say=say, name=name, half=half, replaces=replaces, token=civitai_token, revision=revision
        )
    if isinstance(link, HubLink):
        what, revision = link.hub_id, revision or link.revision
    if link is None and (_exists(what) or not is_hub_id(what)):
        if revision is not None:
            raise ConfigurationError(problem="--revision is for models from the hub.", remedy="Leave it out.")
        return Source(Path(what), name)
    chosen = name or _name(what)
    check_name(ModelRegistry.read(models_dir), chosen, replaces=replaces)
    fetched = fetch(models_dir, what, name=chosen, revision=revision, half=half, replaces=replaces, say=say)
    origin = Origin(fetched.source, fetched.revision, card=fetched.card)
    return Source(fetched.path, chosen, origin, fetched.words)


def _name(hub_id: str) -> str:
    part = PurePosixPath(hub_id).name
    return name_for(PurePosixPath(hub_id)) + (f"-{part.replace('_', '-')}" if part in TEXT_PARTS else "")


def fetch_config(models_dir: Path, source: Source, config: str | None, *, say: Say) -> str | None:
    """Return what an operator named with `--config`; without, the word list that was fetched.

    A repository of the hub is asked for its word list. Raise `ConfigurationError` if that is not for a text encoder.
    """
    from generation.models.hub import fetch_words, is_hub_id

    if config is None:
        return str(source.words) if source.words is not None else None
    is_here = _exists(config) or ModelRegistry.read(models_dir).get(config) is not None
    if is_here or not is_hub_id(config):
        return config
    if not (kind := read_text_kind(source.path)):
        problem = f"{config} is no folder here, and word lists are fetched from the hub for text encoders only."
        raise ConfigurationError(problem=problem, remedy="Name the settings of another model on this machine.")
    return str(fetch_words(models_dir, config, name=source.name or name_for(source.path), kind=kind, say=say))


def _fetch_civitai(
    models_dir: Path,
    link: CivitaiLink,
    *,
    say: Say,
    name: str | None,
    half: bool,
    replaces: bool,
    token: str,
    revision: str | None,
) -> Source:
    from generation.models.civitai import CivitaiFile, fetch

    if revision is not None:
        raise ConfigurationError(
            problem="--revision is for models from the hub.", remedy="On Civitai, copy the link of the version."
        )

    def choose_folder(file: CivitaiFile) -> str:
        chosen = name or name_for(PurePosixPath(file.name))
        check_name(ModelRegistry.read(models_dir), chosen, replaces=replaces)
        return f"{chosen}-{file.version_id}" if replaces else chosen

    file, path = fetch(models_dir, link, choose_folder=choose_folder, half=half, token=token, say=say)
    origin = Origin(
        source="civitai",
        revision=str(file.version_id),
        page=file.page,
        licence=file.licence,
        base_model=file.base_model,
        trigger_words=file.trigger_words,
    )
    return Source(path, name or name_for(PurePosixPath(file.name)), origin)


def _exists(what: str) -> bool:
    try:
        return Path(what).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
