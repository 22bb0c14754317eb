"""Set the defaults that a model is painted with, and describe them: `bot.py models set`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from generation.errors import ConfigurationError, InvalidRequestError
from generation.models.catalog import Model, model_of
from generation.models.guess import Guess, guess_for
from generation.models.names import label
from generation.models.quantised import read_storage
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.samplers import check_defaults
from generation.program import format_command
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides, Defaults
from generation.requests.prompt import clean_prompt, read_negative

Say = Callable[[str], None]
_OPTIONS = (
    "--steps, --guidance, --sampler, --size, --clip-skip, --rescale, --negative, --prefix, --suffix, --storage"
    " or --reset"
)


def set_defaults(
    models_dir: Path,
    name: str,
    *,
    say: Say,
    resets: bool = False,
    negative: str | None = None,
    prefix: str | None = None,
    suffix: str | None = None,
    storage: str | None = None,
    **numbers: float | int | str | None,
) -> None:
    """Keep what is given, and say how the model is painted now. Raise `ConfigurationError`; then nothing is changed.

    `resets`: forget what was set before and guess again. An empty text is a choice too: none of such words.
    """
    register = ModelRegistry.read(models_dir)
    entry = _find_model(register, name)
    texts = {"negative": negative, "prefix": prefix, "suffix": suffix}
    words = {key: None if text is None else read_negative(clean_prompt(text)) for key, text in texts.items()}
    try:
        given = DefaultOverrides(**numbers, **words)  # type: ignore[arg-type]
        if not resets and not given.given and storage is None:
            raise ConfigurationError(problem=f"Nothing to set for {name}.", remedy=f"Use {_OPTIONS}.")
        if resets:
            entry = msgspec.structs.replace(entry, guessed=guess_for(entry, models_dir).overrides, chosen=NO_OVERRIDES)
        kept = entry.storage if storage is None else read_storage(storage, entry.family)
        changed = msgspec.structs.replace(entry, chosen=entry.chosen.merged(given), storage=kept)
        model = model_of(register, changed, models_dir)
        check_defaults(model)
    except InvalidRequestError as wrong:
        raise ConfigurationError(problem=str(wrong), remedy="Nothing was changed.") from None
    register.replacing(changed).write(models_dir)
    say(describe_model(model, entry=changed))


def _find_model(register: ModelRegistry, name: str) -> Entry:
    entry = register.get(name)
    if entry is None:
        listing, adding = format_command("models list"), format_command("models add PATH")
        remedy = f"{listing} shows what was; a folder has defaults of its own once it is added: {adding}."
        raise ConfigurationError(problem=f"Nothing called {name} was added.", remedy=remedy)
    if entry.kind is not Kind.MODEL:
        raise ConfigurationError(
            problem=f"{name} is a {label(entry.kind)}, and only models have defaults.", remedy="Name a model."
        )
    return entry


def describe_guess(models_dir: Path, entry: Entry) -> str:
    """Return how a model that was just added is painted, and what told."""
    model = model_of(ModelRegistry.read(models_dir), entry, models_dir)
    return describe_model(model, entry=entry, guess=guess_for(entry, models_dir))


def describe_model(model: Model, *, entry: Entry, guess: Guess | None = None) -> str:
    """Return whole sentences: what a request that leaves all open is painted with."""
    own = model.defaults
    if entry.chosen.given:
        why = "as you set it"
    elif guess is None:
        why = "as it was guessed" if entry.guessed.given else "as models of its kind usually are"
    else:
        why = ", and ".join(guess.reasons) or "as models of its kind usually are"
    change = format_command(f"models set {entry.name}")
    sentences = [f"It is painted with {describe(own)}: {why}. Change it with {change}."]
    if own.prefix or own.suffix:
        sentences.append(f"Every prompt becomes: {own.complete('…', '', own.guidance)[0]}.")
    if not own.can_avoid():
        sentences.append("A negative prompt has no effect at this guidance.")
    elif own.negative:
        sentences.append(f"A prompt without a negative one gets: {own.negative}.")
    return " ".join(sentences)


def describe(own: Defaults) -> str:
    """Return the numbers of a model's defaults in one row."""
    steps = f"{own.steps} step{'' if own.steps == 1 else 's'}"
    clip_skip = f", clip skip {own.clip_skip}" if own.clip_skip > 1 else ""
    rescale = f" rescaled by {own.rescale:g}" if own.rescale else ""
    return f"{steps}, guidance {own.guidance:g}{rescale}, {own.sampler}, {own.native_px} px{clip_skip}"


def describe_words(own: Defaults) -> str:
    """Return a model's defaults in one row, with the words it adds."""
    added = {"negative": own.negative, "prefix": own.prefix, "suffix": own.suffix}
    return "; ".join((describe(own), *(f"{name}: {words}" for name, words in added.items() if words)))
