"""What a machine of the fleet can paint with: the bot's models, found by their SHA-256 in the machine's own register.

Paths and `measured.json` are each machine's own; a model is its SHA-256, whatever its name there. A machine offers a
model only if it has everything that the bot offers with it (LoRA, embeddings, upscalers, ControlNets, IP-Adapters,
checkers): a picture placed there never fails for what another machine has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from generation.errors import ConfigurationError
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.models.registry import PARTS, REGISTER
from generation.workers.engine_settings import EngineSettings

_ADDITIONS = {
    "loras": "the LoRA",
    "embeddings": "the embedding",
    "upscalers": "the upscaler",
    "controls": "the ControlNet",
    "ip_adapters": "the IP-Adapter",
    "added_checkers": "the safety checker",
}


@dataclass(frozen=True, slots=True)
class Resolved:
    """The bot's models with the paths of this machine, and why others are left out."""

    models: tuple[Model, ...]
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OwnFolders:
    """Where this machine keeps models and measurements; without a folder it has the built-in model alone."""

    data: Path | None = None
    models: Path | None = None

    @classmethod
    def named_by(cls, environment: Mapping[str, str]) -> OwnFolders:
        """Return the folders that ATELIER_DATA_DIR and ATELIER_MODELS_DIR name: `fleet join` sets both."""
        data, models = environment.get("ATELIER_DATA_DIR"), environment.get("ATELIER_MODELS_DIR")
        folder = Path(data) if data else None
        return cls(folder, Path(models) if models else folder / "models" if folder else None)

    def find_models(self, wanted: tuple[Model, ...]) -> Resolved:
        """Return those of the bot's models that this machine can paint with."""
        try:
            return resolve_models(wanted, Catalog.open(PAINTBOX, self.models))
        except ConfigurationError as wrong:
            return Resolved((), {model.name: str(wrong) for model in wanted})

    def read_stamp(self) -> int:
        """Return a number that changes when models are added here."""
        try:
            return (self.models / REGISTER).stat().st_mtime_ns if self.models is not None else 0
        except OSError:
            return 0

    def fit(self, settings: EngineSettings) -> EngineSettings:
        """Return the bot's settings for this machine: the card is the one Ray gave, what was measured is its own."""
        measured, failed = (
            str(self.data / name) if self.data is not None else "" for name in ("measured.json", "failed-models.json")
        )
        return msgspec.structs.replace(settings, device="auto", measured=measured, failed_loads=failed)


def resolve_models(wanted: Iterable[Model], own: Catalog) -> Resolved:
    """Return those of the bot's models that this machine can paint with, by its own files."""
    found: list[Model] = []
    missing: dict[str, str] = {}
    additions = {kind: _index(own.models, kind) for kind in _ADDITIONS}
    for model in wanted:
        mine = _find(model, own)
        lacking = _list_lacking(model, additions)
        if mine is None:
            missing[model.name] = _explain(model)
        elif lacking:
            missing[model.name] = f"It lacks {', '.join(lacking)}: add the same there."
        else:
            found.append(_with_own_files(model, mine, additions))
    return Resolved(tuple(found), missing)


def _find(model: Model, own: Catalog) -> Model | None:
    if model.name == PAINTBOX:
        return next((each for each in own.models if each.name == PAINTBOX), None)
    return next((each for each in own.models if each.sha256 and each.sha256 == model.sha256), None)


def _index(models: Iterable[Model], kind: str) -> dict[str, Any]:
    return {each.sha256: each for model in models for each in getattr(model, kind)}


def _list_lacking(model: Model, additions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return [
        f"{what} “{each.name}”"
        for kind, what in _ADDITIONS.items()
        for each in getattr(model, kind)
        if each.sha256 not in additions[kind]
    ]


def _explain(model: Model) -> str:
    if not model.sha256:
        return "The bot has it from a folder that was not added, so it has no SHA-256 to find it by: add it."
    return f"No model with SHA-256 {model.sha256[:12]} was added there: add the same files."


def _with_own_files(model: Model, mine: Model, additions: Mapping[str, Mapping[str, Any]]) -> Model:
    """Return the bot's model, as it is named and set there, with the files of this machine."""
    own: dict[str, Any] = {
        kind: tuple(_move(each, additions[kind][each.sha256]) for each in getattr(model, kind)) for kind in _ADDITIONS
    }
    return replace(
        model,
        path=mine.path,
        config=mine.config,
        **{name: getattr(mine, name) for name in PARTS},
        safety_checker=mine.safety_checker,
        upscaler=mine.upscaler,
        known_files=mine.known_files,
        **own,
    )


def _move(addition: Any, mine: Any) -> Any:
    """Return what the bot offers, with the files of this machine."""
    places = {name: getattr(mine, name) for name in ("path", "config", "encoder", "known_files") if hasattr(mine, name)}
    return replace(addition, **places)
