"""The trial load of `models add` in the process of the test, which has torch already: the same code."""

from __future__ import annotations

from generation.engine.trial import explain_failure
from generation.errors import ConfigurationError
from generation.models.catalog import Model


def require_loadable_here(model: Model) -> None:
    """Raise `ConfigurationError` with the reason if the model does not load."""
    if problem := explain_failure(model):
        raise ConfigurationError(problem=problem, remedy="It was not added.")
