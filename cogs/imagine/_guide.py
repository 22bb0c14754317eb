"""How a picture guides another: which ControlNet follows it, what is made of it first, how strongly it is followed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from discord.app_commands import Choice
from msgspec import UNSET

from cogs.common.forms import Attached
from cogs.i18n.gettext import N_
from generation.models.catalog import Catalog, Model
from generation.models.controls import ControlFile, find_control
from generation.requests.control import MODES, NONE, PREPROCESSORS, UNION, Control, mode_of
from generation.requests.errors import ControlModeError

_LABELS = {
    "none": N_("nothing: it is a map already"),
    "canny": N_("canny: thin edges"),
    "lineart": N_("lineart: dark lines"),
    "softedge": N_("softedge: soft edges"),
    "invert": N_("invert: black and white change places"),
}
_MAP = "map:"
_MAPS = {
    "pose": N_("nothing: it is a map of poses"),
    "depth": N_("nothing: it is a map of depths"),
    "softedge": N_("nothing: it is a map of soft edges"),
    "lines": N_("nothing: it is a map of lines"),
    "normal": N_("nothing: it is a map of normals"),
    "segments": N_("nothing: it is a map of segments"),
    "tile": N_("nothing: its detail is painted again"),
}
PREPARATIONS = [
    *(Choice(name=_LABELS[name], value=name) for name in PREPROCESSORS),
    *(Choice(name=_MAPS[name], value=_MAP + name) for name in MODES),
]
"""What is made of a picture, or which map it is already: a Union must know, any other ControlNet need not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """How a picture guides another; None leaves it to the model's first ControlNet, or to the ControlNet."""

    network: str | None = None
    preparation: str | None = None
    """The value of one of `PREPARATIONS`."""
    strength: float = 1.0
    begin: float = 0.0
    end: float = 1.0
    image: Attached | None = None
    """What it follows, where that is not the picture that all of a request follow."""

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
        if chosen.startswith(_MAP):
            return NONE, chosen.removeprefix(_MAP)
        return chosen, mode_of(chosen)


def _name_kind(file: ControlFile, mode: str) -> dict[str, Any]:
    """Return the kind of a ControlNet as a spec has it. Raise `ControlModeError` if a Union is not told its mode."""
    if file.kind != UNION:
        return {"kind": file.kind or UNSET}
    if not mode:
        raise ControlModeError(name=file.name, available=", ".join(file.modes))
    return {"kind": UNION, "mode": mode}
