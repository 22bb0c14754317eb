"""Which models may paint where: models without a trusted checker stay in age-restricted channels."""

from __future__ import annotations

import json

from generation.models.catalog import PAINTBOX, Model

STAND_IN = "atelier_stand_in"
"""Key of a checker's `config.json`: it was trained on a harmless concept, to show that the way through it works."""


def is_harmless(model: Model, *, is_from_upload: bool) -> bool:
    """Return whether a model cannot paint what a checker looks for: the built-in one can only from an upload."""
    return model.name == PAINTBOX and not is_from_upload


def is_vetted(model: Model, *, checks_safety: bool, is_from_upload: bool) -> bool:
    """Return whether the model has a checker of its own, no stand-in, and checking is on.

    `is_from_upload`: those that start from what a member attached, or from what was made of that.
    """
    if is_harmless(model, is_from_upload=is_from_upload):
        return True
    return checks_safety and model.safety_checker is not None and not _is_stand_in(model)


def _is_stand_in(model: Model) -> bool:
    assert model.safety_checker is not None
    try:
        config = json.loads((model.safety_checker / "config.json").read_bytes())
    except (OSError, ValueError):
        return True  # what cannot be read vouches for nothing
    return bool(config.get(STAND_IN))
