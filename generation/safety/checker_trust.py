"""Which pictures are checked, so that they may be shown outside age-restricted channels."""

from __future__ import annotations

import json
from collections.abc import Mapping

from generation.models.catalog import PAINTBOX, Model

STAND_IN = "atelier_stand_in"
"""Key of a checker's `config.json`: it was trained on a harmless concept, to show that the way through it works."""
SHARED = frozenset(("open_nsfw", "hentai", "porn", "sexy"))
"""The scores of the checkers that look at the pictures of every model (`generation.engine.checkers.shared`)."""


def is_harmless(model: Model, *, is_from_upload: bool) -> bool:
    """Return whether a model cannot paint what a checker looks for: the built-in one can only from an upload."""
    return model.name == PAINTBOX and not is_from_upload


def is_vetted(model: Model, *, checks_safety: bool, is_from_upload: bool) -> bool:
    """Return whether what a model is about to paint will be checked, or need not be.

    `is_from_upload`: those that start from what a member attached, or from what was made of that.
    """
    return checks_safety or is_harmless(model, is_from_upload=is_from_upload)


def is_judged(model: Model, margins: Mapping[str, float], *, is_from_upload: bool) -> bool:
    """Return whether a finished picture's scores vouch for it, where it has some.

    Those of the shared checkers do. Pictures of earlier releases were judged by their model's own checker alone, and
    one that only stands in vouches for nothing.
    """
    if margins.keys() >= SHARED or is_harmless(model, is_from_upload=is_from_upload):
        return True
    return model.safety_checker is not None and not _is_stand_in(model)


def _is_stand_in(model: Model) -> bool:
    assert model.safety_checker is not None
    try:
        config = json.loads((model.safety_checker / "config.json").read_bytes())
    except (OSError, ValueError):
        return True  # what cannot be read vouches for nothing
    return bool(config.get(STAND_IN))
