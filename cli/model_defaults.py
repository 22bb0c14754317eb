"""Set the defaults that a model or a LoRA is painted with, and describe them: `bot.py models set`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from generation.errors import ConfigurationError, InvalidRequestError
from generation.models.catalog import Model, model_of
from generation.models.errors import SamplerNotOfModelError
from generation.models.guess import GUESSES, Guess, guess_for, guess_for_lora
from generation.models.names import label
from generation.models.quantised import read_storage
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.samplers import check_defaults
from generation.program import format_command
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides, Defaults
from generation.requests.prompt import clean_prompt, read_negative
from generation.requests.ranges import check_sampler
from generation.requests.samplers import list_samplers

Say = Callable[[str], None]
_OF_LORA = ("steps", "guidance", "sampler")
_OPTIONS = (
    "--steps, --guidance, --sampler, --size, --clip-skip, --rescale, --cache, --negative, --prefix, --suffix, --storage"
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
    if entry.kind is Kind.LORA:
        others = {"negative": negative, "prefix": prefix, "suffix": suffix, "storage": storage, **numbers}
        _set_lora(register, entry, models_dir, say=say, resets=resets, given=others)
        return
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


def _set_lora(
    register: ModelRegistry, entry: Entry, models_dir: Path, *, say: Say, resets: bool, given: Mapping[str, Any]
) -> None:
    """Keep what a LoRA that makes a model fast chooses. Raise `ConfigurationError`; then nothing is changed."""
    chosen = {name: value for name, value in given.items() if value is not None}
    if chosen.keys() - set(_OF_LORA) or not (chosen or resets):
        problem = f"{entry.name} is a LoRA: it chooses steps, guidance and sampler, and nothing else."
        raise ConfigurationError(problem=problem, remedy="Use --steps, --guidance, --sampler or --reset.")
    try:
        if resets:
            guessed = guess_for_lora(entry, models_dir).overrides
            entry = msgspec.structs.replace(entry, guessed=guessed, chosen=NO_OVERRIDES)
        changed = msgspec.structs.replace(entry, chosen=entry.chosen.merged(DefaultOverrides(**chosen)))
        _check_lora(changed)
    except InvalidRequestError as wrong:
        raise ConfigurationError(problem=str(wrong), remedy="Nothing was changed.") from None
    register.replacing(changed).write(models_dir)
    say(describe_lora(changed))


def _check_lora(entry: Entry) -> None:
    """Raise `InvalidRequestError` unless models of a LoRA's kind paint with the sampler and the steps it chooses."""
    given = entry.guessed.merged(entry.chosen)
    if given.sampler is None:
        return
    samplers = list_samplers(is_flow=bool(entry.family))  # LoRA of other models have no family
    if given.sampler not in samplers:
        raise SamplerNotOfModelError(name=given.sampler, model=entry.name, samplers=", ".join(samplers))
    check_sampler(given.sampler, given.steps or 1)


def describe_lora(entry: Entry, guess: Guess | None = None) -> str:
    """Return, in a sentence, what a LoRA chooses for a request that leaves it open; empty where it chooses nothing."""
    given = entry.guessed.merged(entry.chosen).given
    if not given:
        return "It chooses no steps, guidance or sampler: those of the model hold." if guess is None else ""
    parts = (f"{name} {given[name]:g}" if name != "sampler" else str(given[name]) for name in _OF_LORA if name in given)
    why = (
        "as you set it" if entry.chosen.given else ", and ".join(guess.reasons if guess else ()) or "as it was guessed"
    )
    change = format_command(f"models set {entry.name}")
    return (
        f"A request with it that leaves them open is painted with {', '.join(parts)}: {why}. Change it with {change}."
    )


def _find_model(register: ModelRegistry, name: str) -> Entry:
    entry = register.get(name)
    if entry is None:
        listing, adding = format_command("models list"), format_command("models add PATH")
        remedy = f"{listing} shows what was; a folder has defaults of its own once it is added: {adding}."
        raise ConfigurationError(problem=f"Nothing called {name} was added.", remedy=remedy)
    if entry.kind not in GUESSES:
        problem = f"{name} is a {label(entry.kind)}, and only models and LoRA have defaults."
        raise ConfigurationError(problem=problem, remedy="Name a model or a LoRA.")
    return entry


def describe_guess(models_dir: Path, entry: Entry) -> str:
    """Return how a model that was just added is painted, or what a LoRA chooses, and what told; else nothing."""
    if entry.kind is Kind.LORA:
        return describe_lora(entry, guess_for_lora(entry, models_dir))
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
    cache = f", step cache {own.cache}" if own.cache > 1 else ""
    return f"{steps}, guidance {own.guidance:g}{rescale}, {own.sampler}, {own.native_px} px{clip_skip}{cache}"


def describe_words(own: Defaults) -> str:
    """Return a model's defaults in one row, with the words it adds."""
    added = {"negative": own.negative, "prefix": own.prefix, "suffix": own.suffix}
    return "; ".join((describe(own), *(f"{name}: {words}" for name, words in added.items() if words)))
