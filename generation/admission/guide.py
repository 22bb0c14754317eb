"""How a picture guides another: which ControlNet follows it, what is made of it first, how strongly it is followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from msgspec import UNSET

from generation.models.catalog import Catalog, Model
from generation.models.controls import ControlFile, find_control
from generation.requests.control import NONE, PREPROCESSORS, UNION, Control, mode_of
from generation.requests.errors import ControlModeError

MAP = "map:"
"""Begins a preparation that says which map a picture is already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """None leaves it to the model's first ControlNet, or to the ControlNet."""

    network: str | None = None
    preparation: str | None = None
    """A preprocessor, or `MAP` and one of `MODES`."""
    strength: float = 1.0
    begin: float = 0.0
    end: float = 1.0

    def build(self, model: Model, catalog: Catalog, sha256: str) -> Control:
        """Return the ControlNet at work on the picture of that file. Raise `InvalidRequestError` for one that is not
        here or does not fit."""
        named = self.network or next((each.name for each in model.controls), "")
        file = find_control(model.controls, catalog.controls, named, model=model.name)
        preprocessor, mode = self._prepare(file)
        return Control(
            network=file.name,
            network_sha256=file.sha256,
            sha256=sha256,
            strength=self.strength,
            begin=self.begin,
            end=self.end,
            preprocessor=preprocessor,
            version=PREPROCESSORS.get(preprocessor, 1),
            **_name_kind(file, mode),
        )

    def _prepare(self, file: ControlFile) -> tuple[str, str]:
        """Return the preprocessor, and what the picture is after it."""
        chosen = self.preparation or file.preprocessor
        if chosen.startswith(MAP):
            return NONE, chosen.removeprefix(MAP)
        return chosen, mode_of(chosen)


def _name_kind(file: ControlFile, mode: str) -> dict[str, Any]:
    """Return the kind of a ControlNet as a spec has it. Raise `ControlModeError` if a Union is not told its mode."""
    if file.kind != UNION:
        return {"kind": file.kind or UNSET}
    if not mode:
        raise ControlModeError(name=file.name, available=", ".join(file.modes))
    return {"kind": UNION, "mode": mode}
