"""What a shell offers for a word that is half typed: names of models, and choices. Needs no torch, and never fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from generation.models.registry import Entry

_BUILT_IN = "paintbox"
Completion = Callable[[typer.Context, str], list[str]]


def complete_added(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of what was added."""
    return _offer(lambda: (each.name for each in _read_entries(ctx)), incomplete)


def complete_models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of models, the built-in one too."""
    return _offer(lambda: (_BUILT_IN, *(each.name for each in _read_entries(ctx) if each.kind == "model")), incomplete)


def complete_kind(kind: str) -> Completion:
    """Return what completes names of this kind."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        return _offer(lambda: (each.name for each in _read_entries(ctx) if each.kind == kind), incomplete)

    return complete


def complete_words(*words: str) -> Completion:
    """Return what completes one of these words."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        return _offer(lambda: words, incomplete)

    return complete


def complete_samplers(incomplete: str) -> list[str]:
    """Return names of samplers."""
    return _offer(_list_samplers, incomplete)


def _offer(find: Callable[[], Iterable[str]], typed: str) -> list[str]:
    """Return what begins with the word, and nothing where that cannot be found out: a prompt is no place for errors."""
    try:
        return [each for each in find() if each.casefold().startswith(typed.casefold())]
    except Exception:
        return []


def _list_samplers() -> Iterable[str]:
    from generation.requests.samplers import SAMPLERS

    return SAMPLERS


def _read_entries(ctx: typer.Context) -> Iterable[Entry]:
    import config
    from generation.models.registry import ModelRegistry

    home = ctx.find_root().params.get("home")
    return ModelRegistry.read(config.load(home).folder_of_models).entries
