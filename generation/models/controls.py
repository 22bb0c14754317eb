"""The ControlNets that the operator added, and which of them fit a model. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from generation.models.hashing import KnownFile, compute_total_digest
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.shared_additions import list_known_files
from generation.requests.control import MODES, NONE, UNION, Control
from generation.requests.errors import (
    AddonChangedError,
    ControlMismatchError,
    ControlModeUnknownError,
    NoControlError,
    UnknownControlError,
)

_HINTS = {"canny": "canny", "lineart": "lineart", "softedge": "softedge", "hed": "softedge", "pidi": "softedge"}
_HINTS |= {"scribble": "softedge", "sketch": "lineart"}
"""What a ControlNet's name says that it is trained on, and what makes the like of it here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlFile:
    """A ControlNet that the operator added, for models of one family."""

    name: str
    path: Path
    """A folder in the diffusers layout, or a single file; then `config` names a folder for its settings."""
    sha256: str
    """Of all that is read of it (`hashing.compute_total_digest`)."""
    family: str
    context_width: int = 0
    config: Path | None = None
    licence: str = ""
    known_files: tuple[KnownFile, ...] = ()
    kind: str = ""
    """As a spec has it; empty for a plain ControlNet."""
    num_modes: int = 0

    @property
    def preprocessor(self) -> str:
        """What its name says that it is trained on, as far as that can be made here; `none` for all else.

        A Union is trained on all: thin edges can be made of any picture.
        """
        name = self.name.casefold()
        is_for_all = self.kind == UNION or "union" in name
        return next((made for hint, made in _HINTS.items() if hint in name), "canny" if is_for_all else NONE)

    @property
    def modes(self) -> tuple[str, ...]:
        """What its pictures can be; nothing for one that is not told."""
        return tuple(name for name, number in MODES.items() if number < self.num_modes)

    def fits(self, family: str, context_width: int) -> bool:
        """Return whether it was made for models of that family that read prompts of that width."""
        return self.family == family and self.context_width in (0, context_width)


def list_controls(register: ModelRegistry, folder: Path, left_out: dict[str, str]) -> Iterator[ControlFile]:
    """Yield those whose file or folder is there; of others `left_out` is told."""
    for entry in register.entries:
        if entry.kind is not Kind.CONTROL:
            continue
        file = control_of(entry, folder)
        if file.path.exists():
            yield file
        else:
            left_out[entry.name] = f"{file.path} is not there."


def control_of(entry: Entry, folder: Path) -> ControlFile:
    """Return what an entry of the register is to the engine."""
    return ControlFile(
        name=entry.name,
        path=entry.place(folder),
        sha256=compute_total_digest(entry.files, config=entry.config_files),
        family=entry.family,
        context_width=entry.context_width,
        config=folder / entry.config if entry.config else None,
        licence=entry.licence,
        known_files=list_known_files(entry, folder=folder),
        kind=entry.control_kind,
        num_modes=entry.num_modes,
    )


def find_control(fitting: Sequence[ControlFile], every: Sequence[ControlFile], name: str, *, model: str) -> ControlFile:
    """Return the ControlNet of that name among those that fit a model.

    Raise `InvalidRequestError` if it is not here, or is one of `every` that are for other models.
    """
    if not fitting:
        raise NoControlError(model=model)
    found = next((each for each in fitting if each.name == name), None)
    if found is not None:
        return found
    available = ", ".join(each.name for each in fitting)
    if any(each.name == name for each in every):
        raise ControlMismatchError(name=name, model=model, available=available)
    raise UnknownControlError(name=name[:60], available=available)


def require_controls(
    fitting: Sequence[ControlFile], every: Sequence[ControlFile], controls: Sequence[Control], *, model: str
) -> None:
    """Raise `InvalidRequestError` unless all are here, are the same files, and fit the model."""
    for each in controls:
        found = find_control(fitting, every, each.network, model=model)
        if (found.sha256, found.kind) != (each.network_sha256, each.kind or ""):
            raise AddonChangedError(name=each.network)
        if each.mode and each.mode not in found.modes:
            raise ControlModeUnknownError(name=each.network, mode=each.mode, available=", ".join(found.modes))
