"""The step of `setup` that looks at the card and chooses the default model, which is added if it is not there yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli import models
from cli.guide._state import Setup
from cli.guide.recipes import RECIPES, ModelRecipe
from cli.hardware import INSTALL, Hardware, describe_hardware
from db.lock import ModelsLock
from generation.errors import ConfigurationError
from generation.models.registry import Entry, Kind, ModelRegistry

_BUILT_IN = "paintbox"


def choose_model(setup: Setup) -> None:
    """Say what there is to paint with, and keep the memory mode that the command line names, and the default model.

    Raise `ConfigurationError` for a model that cannot be used.
    """
    if setup.options.memory is not None:
        setup.keep(memory=setup.options.memory)
    _show_hardware(setup)
    before = setup.settings.model
    if setup.options.model is not None:
        setup.keep(model=_obtain(setup, setup.options.model))
    else:
        _ask_model(setup)
    setup.questions.say(f"  The default model is {setup.settings.model}.")
    if setup.settings.model != before:
        _show_hardware(setup)


def _show_hardware(setup: Setup) -> None:
    """Say which device paints, and how each model is kept on it."""
    try:
        found = asyncio.run(describe_hardware(setup.settings))
    except ConfigurationError as wrong:  # a model that is gone, for example: another can be chosen
        found = Hardware(str(wrong))
    setup.questions.say(f"  {found.text}")
    setup.questions.say(f"  Memory mode: {setup.settings.memory}.")
    if found.unused_card:
        setup.questions.say(f"  torch does not support {found.unused_card} as it is installed: {INSTALL}")


def _ask_model(setup: Setup) -> None:
    """Keep the model that is chosen; ask again for one that cannot be used."""
    names = list(dict.fromkeys((setup.settings.model, _BUILT_IN, *_added(setup.settings.folder_of_models))))
    recipes = [each for each in RECIPES if each.name not in names]
    lines = [_describe(name, setup.settings.model) for name in names] + [each.line for each in recipes]
    while True:
        question = "  Which model? A number, or a file, a folder, owner/name of the hub, a link"
        chosen = setup.questions.choose(question, lines, 0)
        what = chosen if isinstance(chosen, str) else [*names, *(each.name for each in recipes)][chosen]
        try:
            return setup.keep(model=setup.settings.model if what == setup.settings.model else _obtain(setup, what))
        except ConfigurationError as wrong:
            if not setup.questions.is_asking:
                raise
            setup.questions.say(f"  {wrong}")


def _describe(name: str, default: str) -> str:
    what = f"{name}, built in: very small, for a try" if name == _BUILT_IN else name
    return f"{what} (as now)" if name == default else what


def _obtain(setup: Setup, what: str) -> str:
    """Return the name of a model that is there; add it if it is not. Raise `ConfigurationError` if that fails."""
    folder = setup.settings.folder_of_models
    recipe = next((each for each in RECIPES if what in (each.name, each.hub_id)), None)
    known = _find(folder, recipe, what)
    if what == _BUILT_IN or known is not None:
        return _BUILT_IN if known is None else known.name
    civitai = setup.settings.civitai_token
    token = civitai.get_secret_value() if civitai else ""
    with ModelsLock(folder):
        if recipe is not None:
            setup.questions.say(f"  {recipe.line}.")
            entry = models.add(folder, recipe.hub_id, say=setup.questions.say, name=recipe.name, half=True)
        else:
            entry = models.add(folder, what, say=setup.questions.say, civitai_token=token)
    if entry.kind is not Kind.MODEL:
        raise ConfigurationError(problem=f"{entry.name} was added, but it is no model.", remedy="Choose a model.")
    return entry.name


def _find(folder: Path, recipe: ModelRecipe | None, what: str) -> Entry | None:
    """Return what was added under that name, or from that place."""
    place = Path(what).expanduser().absolute()
    for each in _added(folder).values():
        if each.name in (what, recipe and recipe.name) or each.source == what or each.place(folder) == place:
            return each
    return None


def _added(folder: Path) -> dict[str, Entry]:
    return {each.name: each for each in ModelRegistry.read(folder).entries if each.kind is Kind.MODEL}
