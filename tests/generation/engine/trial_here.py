"""The trial load of `models add` in the process of the test, which has torch already: the same code."""

from __future__ import annotations

from pathlib import Path

from generation.engine.lora_trial import explain_misfit
from generation.engine.trial import try_load
from generation.errors import ConfigurationError
from generation.models.catalog import Model
from generation.requests.prompt_addons import PromptAddon
from generation.workers.frames import LoraQuestion


def require_loadable_here(model: Model) -> None:
    """Raise `ConfigurationError` with the reason if the model does not load."""
    if problem := try_load(model, counts=False).problem:
        raise ConfigurationError(problem=problem, remedy="It was not added.")


def require_fitting_here(lora: PromptAddon, folders: tuple[Path, ...]) -> None:
    """Raise `ConfigurationError` with the reason if the LoRA fits none of the models it may be for."""
    if problem := explain_misfit(LoraQuestion(lora=lora, folders=folders)):
        raise ConfigurationError(problem=problem, remedy="It was not added.")
