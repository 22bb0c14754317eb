"""How a picture guides another, as members choose it."""

from __future__ import annotations

from dataclasses import dataclass

from discord.app_commands import Choice

from cogs.common.forms import Attached
from cogs.i18n.gettext import N_
from generation.admission import guide
from generation.admission.guide import MAP
from generation.requests.control import MODES, PREPROCESSORS

_LABELS = {
    "none": N_("nothing: it is a map already"),
    "canny": N_("canny: thin edges"),
    "lineart": N_("lineart: dark lines"),
    "softedge": N_("softedge: soft edges"),
    "invert": N_("invert: black and white change places"),
}
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
    *(Choice(name=_MAPS[name], value=MAP + name) for name in MODES),
]
"""What is made of a picture, or which map it is already: a Union must know, any other ControlNet need not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide(guide.Guide):
    """One that may come with a picture of its own."""

    image: Attached | None = None
    """What it follows, where that is not the picture that all of a request follow."""
