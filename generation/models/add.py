"""Adds to the models folder: inspect, check, hash, and only then register.

A local file stays where it is. Only the text encoders and the VAE inside of a whole checkpoint are written again, as
files of their own. What fails leaves the register as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from generation import paintbox, progress
from generation.errors import ConfigurationError
from generation.models.add_parts import Wanted, name_parts
from generation.models.add_settings import make_relative, open_settings, resolve
from generation.models.catalog import PAINTBOX, Catalog, Model, model_of
from generation.models.checkpoint import IncompatibleFileError
from generation.models.controls import control_of
from generation.models.families import FAMILIES
from generation.models.gguf_header import SUFFIX as GGUF
from generation.models.guess import GUESSES
from generation.models.hashing import Stamp, count_bytes, digest_file, hash_config, list_files, take_stamp
from generation.models.image_encoders import name_image_encoder
from generation.models.inspect import Description, describe, read_context_width, stated_px
from generation.models.ip_adapters import ip_adapter_of
from generation.models.json_file import read_json
from generation.models.layout import check_file, check_model, check_part
from generation.models.licence import read_licence
from generation.models.lora_flow_families import narrow
from generation.models.lora_names import check_settings, read_names, scale
from generation.models.named_parts import NO_PARTS, Parts
from generation.models.names import check_kind, check_name, label_one, name_for
from generation.models.origin import LOCAL, Origin
from generation.models.quantised import read_storage
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.safetensors_header import check_numbers, read_tensors
from generation.models.scheduler_config import PREDICTIONS
from generation.models.shared_additions import checker_of, upscaler_of
from generation.models.trigger_words import read_trigger_words
from generation.requests.bases import BASES
from generation.requests.cost import Work
from generation.requests.defaults import NO_OVERRIDES
from generation.requests.prompt_addons import MAX_WEIGHT, PromptAddon

WEIGHTS = (".safetensors", GGUF)
Say = Callable[[str], None]


def add_path(
    models_dir: Path,
    path: Path,
    *,
    say: Say,
    name: str | None = None,
    config: str | None = None,
    parts: Mapping[str, str] = MappingProxyType({}),
    image_encoder: str | None = None,
    prediction: str | None = None,
    storage: str | None = None,
    replaces: bool = False,
    origin: Origin = LOCAL,
    require_loadable: Callable[[Model], Work | None],
    require_fitting: Callable[[PromptAddon, tuple[Path, ...]], None],
) -> Entry:
    """Check what lies at `path` and enter it. Raise `ConfigurationError` saying why it cannot be used, and what to do.

    `config` (for a single file) is a name in the register or a folder; `parts` (by their folder in a model, such as
    `vae`) and `image_encoder` are names, or paths that are added first and stay. `prediction` says what a model
    predicts where its files do not, or say it wrongly.
    `replaces`: an entry of the same name and kind gives way.
    """
    path = resolve(path)
    name = name or name_for(path)
    taken = check_name(ModelRegistry.read(models_dir), name, replaces=replaces)
    found = _describe(path)
    check_kind(taken, found.kind)

    def add_part(part: Path, called: str, words: str | None) -> Entry:
        tries = {"require_loadable": require_loadable, "require_fitting": require_fitting}
        return add_path(models_dir, part, name=called, config=words, say=say, **tries)  # type: ignore[arg-type]

    named = name_parts(models_dir, path, found, Wanted(config, parts), add_part)
    encoder = name_image_encoder(models_dir, path, found, image_encoder, add_part)
    register = ModelRegistry.read(models_dir)
    names: dict[str, Any] = {part: each.name for part, each in named.named.items()}
    predicts = _prediction(found, prediction)
    with open_settings(register, models_dir, path, found, config, named) as settings:
        check_safety(path, found, settings, named, prediction=predicts)
        _tell_what_it_is(name, path, found, say)
        files, stamps = _read_with_bar(name, path)
        entry = Entry(
            name=name,
            kind=found.kind,
            path=make_relative(path, models_dir),
            files=files,
            stamps=stamps,
            config=make_relative(settings, models_dir) if settings else "",
            config_files=hash_config(settings) if settings else {},
            **names,
            image_encoder=encoder,
            prediction=predicts,
            storage=taken.storage if taken is not None and storage is None else read_storage(storage, found.family),
            chosen=taken.chosen if taken is not None else NO_OVERRIDES,
        )
        entry = _with_guess(_describe_entry(entry, path, found, origin), models_dir)
        entry = _try_entry(register, entry, models_dir, say, require_loadable, require_fitting)
        register.with_entry(entry).write(models_dir)
    return entry


def _tell_what_it_is(name: str, path: Path, found: Description, say: Say) -> None:
    for note in filter(None, (found.note, _read_training_scale(path, found))):
        say(note)
    say(f"{name}: {label_one(found.kind)}{f' ({found.family})' if found.family else ''}; reading every number …")


def _try_entry(
    register: ModelRegistry,
    entry: Entry,
    models_dir: Path,
    say: Say,
    require_loadable: Callable[[Model], Work | None],
    require_fitting: Callable[[PromptAddon, tuple[Path, ...]], None],
) -> Entry:
    """Load what can be loaded by itself, and try a LoRA. Return the entry, of a model with what it takes.

    Raise `ConfigurationError` if it does not work.
    """
    if entry.kind is Kind.LORA:
        _try_lora(register, entry, models_dir, require_fitting)
    if (tried := _find_trial(register, entry, models_dir)) is None:
        return entry
    say("Loading it once, to see that it loads …")
    with progress.task(f"Loading {entry.name}"):
        return msgspec.structs.replace(entry, work=require_loadable(tried))


def _describe_entry(entry: Entry, path: Path, found: Description, origin: Origin) -> Entry:
    """Return the entry with what its header and the place it was fetched from say of it."""
    return msgspec.structs.replace(
        entry,
        family=" ".join(narrow(found.family.split(), (origin.base_model,))),
        context_width=found.context_width,
        scale=found.scale,
        control_kind=found.control_kind,
        num_modes=found.num_modes,
        native_px=stated_px(found.metadata or {}) if found.kind is Kind.MODEL else 0,
        licence=origin.licence or read_licence(origin.card or path / "README.md", found.metadata),
        trigger_words=origin.trigger_words or read_trigger_words(found.metadata),
        source=origin.source,
        revision=origin.revision,
        page=origin.page,
        base_model=origin.base_model,
    )


def _with_guess(entry: Entry, models_dir: Path) -> Entry:
    """Return the entry of a model or a LoRA with its guessed defaults, and any other as it is."""
    guess = GUESSES.get(entry.kind)
    return entry if guess is None else msgspec.structs.replace(entry, guessed=guess(entry, models_dir).overrides)


def _find_trial(register: ModelRegistry, entry: Entry, models_dir: Path) -> Model | None:
    """Return the model whose loading shows that an entry loads; None for kinds of which that shows nothing.

    Checkers, upscalers, ControlNets, IP-Adapters and text encoders are loaded beside the built-in model.
    """
    if entry.kind is Kind.MODEL:
        return model_of(register, entry, models_dir)
    if entry.kind is Kind.CHECKER:
        return replace(Catalog.open(PAINTBOX).default, added_checkers=(checker_of(entry, models_dir),))
    if entry.kind is Kind.CONTROL:
        return replace(Catalog.open(PAINTBOX).default, controls=(control_of(entry, models_dir),))
    if entry.kind is Kind.IP_ADAPTER:
        return replace(Catalog.open(PAINTBOX).default, ip_adapters=(ip_adapter_of(register, entry, models_dir),))
    if entry.kind is Kind.UPSCALER:
        return replace(Catalog.open(PAINTBOX).default, upscalers=(upscaler_of(entry, models_dir),))
    if entry.kind is Kind.TEXT_ENCODER:
        return replace(Catalog.open(PAINTBOX).default, text_encoder=entry.place(models_dir))
    return None


def _try_lora(
    register: ModelRegistry,
    entry: Entry,
    models_dir: Path,
    require_fitting: Callable[[PromptAddon, tuple[Path, ...]], None],
) -> None:
    """Raise `ConfigurationError` if a LoRA fits no model: neither those that were added nor the published ones."""
    width, path = entry.context_width, entry.place(models_dir)
    models = [each for each in register.entries if each.kind is Kind.MODEL]
    places = [models_dir / each.config if each.config else each.place(models_dir) for each in models]
    folders = tuple(place for each, place in zip(models, places, strict=True) if each.family in entry.family.split())
    if not entry.family:
        added = (*places, paintbox.MODEL_DIR)
        folders = tuple(each for each in added if (reads := read_context_width(each)) and width in (0, reads))
    if not entry.family and not folders and width not in BASES:
        known = f"Stable Diffusion 1, 2 and XL read {', '.join(map(str, BASES))}"
        problem = f"{path} reads prompts of {width} numbers a token, as no model does that was added; {known}."
        raise ConfigurationError(problem=problem, remedy="Add the model that it is for first.")
    (sha256,) = entry.files.values()
    lora = PromptAddon(name=entry.name, path=path, sha256=sha256, family=entry.family, context_width=width)
    require_fitting(lora, folders)


def _read_training_scale(path: Path, found: Description) -> str:
    """Return, in a sentence, the scale in the settings that PEFT wrote beside its file; empty where there is none.

    Raise `ConfigurationError` if they say that the LoRA is of a kind that is not read.
    """
    beside = path.with_name("adapter_config.json")
    if found.kind is not Kind.LORA or path.name != "adapter_model.safetensors" or not beside.is_file():
        return ""
    try:
        settings = read_json(beside)
        check_settings(settings, read_names(read_tensors(path).shapes))
    except (OSError, ValueError, RecursionError) as error:
        problem = f"{beside} says how the LoRA is to be used, and it {error}."
        raise ConfigurationError(problem=problem, remedy="It was not added.") from None
    alpha, rank = settings.get("lora_alpha", settings.get("alpha")), settings.get("r")
    if not isinstance(rank, int) or rank < 1:
        return ""
    if (trained := scale(alpha, rank, is_stabilised=bool(settings.get("use_rslora")))) == 1:
        return ""
    said = f"It was trained at {trained:g} times what its file holds: that number is the weight to write in prompts."
    return f"{said} Prompts take at most {MAX_WEIGHT:g}, so it is weaker here." if trained > MAX_WEIGHT else said


def check_safety(
    path: Path, found: Description, config: Path | None, parts: Parts = NO_PARTS, *, prediction: str = ""
) -> None:
    """Check other people's files by the rules of their kind. Raise `ModelRefusedError` if one is broken."""
    if found.kind is Kind.MODEL:
        check_model(path, found.family, config=config, replaced=parts.named, prediction=prediction)
    elif path.is_file():
        check_file(path)
    else:
        check_part(path)


def _read_with_bar(name: str, path: Path) -> tuple[dict[str, str], dict[str, Stamp]]:
    with progress.task(f"Reading {name}", count_bytes(path), is_bytes=True):
        return _read_all(path)


def _read_all(path: Path) -> tuple[dict[str, str], dict[str, Stamp]]:
    """Read every file that a loader would open, once, and check every weight. Return SHA-256 and stamp by its name.

    Raise `ConfigurationError` naming the file. A stamp is taken first: who changes a file meanwhile changes that.
    """
    files, stamps = dict[str, str](), dict[str, Stamp]()
    for name, file in list_files(path).items():
        stamps[name] = take_stamp(file)
        try:
            files[name] = check_numbers(file) if file.suffix in WEIGHTS else digest_file(file)
        except ValueError as error:
            raise ConfigurationError(problem=f"{file} {error}.", remedy="It was not added.") from None
    return files, stamps


def _describe(path: Path) -> Description:
    try:
        return describe(path)
    except ValueError as error:
        remedy = error.remedy if isinstance(error, IncompatibleFileError) else "It was not added."
        raise ConfigurationError(problem=f"{path} {error}.", remedy=remedy) from None


def _prediction(found: Description, wanted: str | None) -> str:
    """Return the operator's prediction type in diffusers' word; empty if none was given."""
    if wanted is None:
        return ""
    if found.kind is not Kind.MODEL:
        raise ConfigurationError(problem="--prediction is for models.", remedy="Leave it out.")
    if FAMILIES[found.family].is_flow:
        problem = f"--prediction is not for {FAMILIES[found.family].title}, which predicts one thing only."
        raise ConfigurationError(problem=problem, remedy="Leave it out.")
    if wanted.lower() not in PREDICTIONS:
        raise ConfigurationError(problem=f"{wanted[:40]!r} is not what a model predicts.", remedy="Use v or epsilon.")
    return PREDICTIONS[wanted.lower()]
