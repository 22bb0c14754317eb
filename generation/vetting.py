"""Which models may paint where: one whose pictures nobody can judge stays in age-restricted channels."""

from __future__ import annotations

import json

from generation.catalog import PAINTBOX, Model

STAND_IN = "atelier_stand_in"
"""Key of a checker's `config.json`: it was trained on a harmless concept, to show that the way through it works."""


def is_harmless(model: Model) -> bool:
    """The built-in model cannot paint what a checker looks for: it was never shown such a picture."""
    return model.name == PAINTBOX


def is_vetted(model: Model, *, checks_safety: bool) -> bool:
    """Whether its pictures can be judged: a checker of its own that is no stand-in, and checking not switched off."""
    if is_harmless(model):
        return True
    return checks_safety and model.safety_checker is not None and not _is_stand_in(model)


def _is_stand_in(model: Model) -> bool:
    assert model.safety_checker is not None
    try:
        config = json.loads((model.safety_checker / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return True  # what cannot be read vouches for nothing
    return bool(config.get(STAND_IN))
