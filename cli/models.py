"""List, add and remove models, and print lines for a person to read: `bot.py models`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from cli.model_defaults import describe_guess, describe_words
from cli.model_sources import fetch_config, fetch_source
from cli.previews import take_preview
from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.catalog import Catalog
from generation.models.failed_loads import Loadable
from generation.models.families import FAMILIES
from generation.models.layout import read_file_statement, read_scheduler
from generation.models.named_parts import list_users
from generation.models.names import label
from generation.models.previews import keep_preview, remove_unused
from generation.models.registry import Entry, Kind, ModelRegistry
from generation.models.scan import scan as scan_folder
from generation.models.scheduler_config import V_PREDICTION, Stated
from generation.models.single_file_settings import SETTINGS_DIR
from generation.program import format_command
from generation.requests.prompt_addons import BASES, PromptAddon, name_family
from generation.workers.trial_load import require_fitting, require_loadable

Say = Callable[[str], None]
_USE = {
    Kind.MODEL: "It is offered to members, by a running bot within seconds. ATELIER_MODEL={name} makes it the default.",
    Kind.LORA: "Members call it by <lora:{name}:0.8> in a prompt. A running bot takes it up within seconds.",
    Kind.EMBEDDING: "Members call it by its name, {name}, in a prompt. A running bot takes it up within seconds.",
    Kind.UPSCALER: "It enlarges pictures; /upscale upscaler:{name} names it. A running bot takes it up within seconds.",
    Kind.CONTROL: "It holds pictures to the lines of another; /control net:{name} names it. A running bot follows.",
    Kind.VAE: f"Use it with a model: {format_command('models add MODEL --vae {name}')}.",
    Kind.TEXT_ENCODER: f"Use it with a model: {format_command('models add MODEL --text-encoder {name} --vae VAE')}.",
    Kind.CHECKER: "It looks at the pictures of every model, beside the others; in a running bot within seconds.",
}


def list_models(
    models_dir: Path, failed: Callable[[tuple[Loadable, ...]], Mapping[str, str]] | None = None
) -> Iterator[str]:
    """Yield all that is there: its kind, its name, its licence, and why it cannot be used.

    `failed` says why models did not load.
    """
    catalog = Catalog.open("paintbox", models_dir)
    register = ModelRegistry.read(models_dir)
    for model in catalog.models:
        entry = register.get(model.name)
        yield f"model      {model.name}  ({model.family}; licence: {model.licence}; {_origin(entry)})"
        yield f"{'':<10} {describe_words(model.defaults)}"
    for kind, extras in (("lora", catalog.default.loras), ("embedding", catalog.default.embeddings)):
        for extra in extras:
            yield f"{kind:<10} {extra.name}  ({_base(extra)}; licence: {extra.licence or 'unknown'}; " + (
                f"{_origin(register.get(extra.name))})"
            )
    for upscaler in catalog.default.upscalers:
        origin = _origin(register.get(upscaler.name))
        yield f"upscaler   {upscaler.name}  ({upscaler.scale}x; licence: {upscaler.licence or 'unknown'}; {origin})"
    for control in catalog.controls:
        base = _control_base(control.family, control.context_width)
        origin = _origin(register.get(control.name))
        kind = f"{control.kind}, " if control.kind else ""
        yield f"controlnet {control.name}  ({kind}for {base}; licence: {control.licence or 'unknown'}; {origin})"
    for entry in register.entries:
        if entry.kind in (Kind.VAE, Kind.TEXT_ENCODER, Kind.CHECKER):
            yield f"{entry.kind.value:<10} {entry.name}  (licence: {entry.licence or 'unknown'}; {_origin(entry)})"
    for name, why in {**catalog.left_out, **(failed(catalog.loadable) if failed is not None else {})}.items():
        yield f"BAD        {name}: {why}"


def add(
    models_dir: Path,
    what: str,
    *,
    say: Say,
    name: str | None = None,
    revision: str | None = None,
    config: str | None = None,
    vae: str | None = None,
    text_encoder: str | None = None,
    storage: str | None = None,
    prediction: str | None = None,
    half: bool = False,
    replaces: bool = False,
    civitai_token: str = "",
) -> Entry:
    """Add a path, or fetch from the hub or Civitai and add. Raise `ConfigurationError`; then nothing was entered."""
    source = fetch_source(
        models_dir,
        what,
        say=say,
        name=name,
        revision=revision,
        half=half,
        replaces=replaces,
        civitai_token=civitai_token,
    )
    config = fetch_config(models_dir, source, config, say=say)
    entry = add_path(
        models_dir,
        source.path,
        say=say,
        require_loadable=require_loadable,
        require_fitting=require_fitting,
        name=source.name,
        config=config,
        vae=vae,
        text_encoder=text_encoder,
        storage=storage,
        prediction=prediction,
        replaces=replaces,
        origin=source.origin,
    )
    entry = keep_preview(models_dir, entry, take_preview)
    remove_unused(models_dir)
    return _tell(models_dir, entry, say)


def scan(models_dir: Path, root: str, *, say: Say) -> bool:
    """Add all below a folder. Return whether anything in it can be used. Raise `ConfigurationError` for no folder."""
    folder, quiet = Path(root).expanduser(), lambda line: None
    counts = {"added": 0, "there already": 0, "left out": 0}

    def add_one(path: Path) -> Entry:
        entry = add_path(
            models_dir, path, say=quiet, require_loadable=require_loadable, require_fitting=require_fitting
        )
        return keep_preview(models_dir, entry, take_preview)

    for found in scan_folder(models_dir, folder, add_one):
        shown = found.path.relative_to(folder)
        if found.entry is not None:
            counts["added"] += 1
            say(f"added      {label(found.entry.kind)} {found.entry.name}  ({shown})")
        elif found.problem:
            counts["left out"] += 1
            say(f"left out   {shown}: {found.problem}")
        else:
            counts["there already"] += 1
    say("; ".join(f"{number} {word}" for word, number in counts.items()) + ".")
    return counts["added"] + counts["there already"] > 0


def remove(models_dir: Path, name: str, *, say: Say) -> None:
    """Take a name out of the register; no file is touched. Raise `ConfigurationError` if there is none, or it is in
    use."""
    register = ModelRegistry.read(models_dir)
    entry = register.get(name)
    if entry is None:
        raise ConfigurationError(
            problem=f"Nothing called {name} was added.", remedy=f"{format_command('models list')} shows what was."
        )
    if users := list_users(register, name):
        problem = f"{', '.join(users)} uses it as its {label(entry.kind)}."
        raise ConfigurationError(problem=problem, remedy=f"Remove {users[0]} first.")
    register.without(name).write(models_dir)
    remove_unused(models_dir)
    if entry.kind is Kind.CHECKER:
        say(f"{name} looks at no more pictures, in a running bot within seconds; the other checkers do.")
    else:
        say(f"{name} is offered no more; a running bot follows within seconds.")
        say("Without it, what it painted cannot be reproduced.")
    say(f"Its files were left where they are: {entry.place(models_dir)}")


def _tell(models_dir: Path, entry: Entry, say: Say) -> Entry:
    say(f"Added {label(entry.kind)} {entry.name}: {len(entry.files) + len(entry.config_files)} files, all hashed.")
    if entry.page:
        say(f"From {entry.page}.")
    elif entry.revision:
        say(f"From {entry.source} at commit {entry.revision}.")
    if entry.trigger_words:
        say(f"Its author says to write: {', '.join(entry.trigger_words)}.")
    if entry.preview is not None:
        say("Its preview is shown in /models and /loras, where the safety checkers let it.")
    say(f"Licence: {entry.licence or 'not stated; look at its page before you offer it to others'}.")
    if entry.kind is Kind.MODEL:
        if not FAMILIES[entry.family].is_flow:
            say(_prediction(models_dir, entry))
        say(describe_guess(models_dir, entry))
    say(_USE[entry.kind].format(name=entry.name))
    return entry


def _prediction(models_dir: Path, entry: Entry) -> str:
    """Describe what the model is sampled as predicting, and which source says so."""
    file = entry.place(models_dir) if entry.config else None
    folder = models_dir / entry.config if entry.config else entry.place(models_dir)
    settings = read_scheduler(folder, entry.family, file=file, prediction=entry.prediction)
    stated = read_file_statement(file) if file else Stated()
    predicts = "v" if settings.get("prediction_type") == V_PREDICTION else "epsilon"
    zero_snr = ", with zero terminal SNR" if settings.get("rescale_betas_zero_snr") else ""
    if entry.prediction:
        source = "as you say"
    elif stated.prediction:
        source = f"as the file says ({stated.source})"
    elif file is None:
        source = "as its scheduler settings say"
    else:
        other = "epsilon" if predicts == "v" else "v"
        is_derived = entry.config.startswith(f"{SETTINGS_DIR}/")
        said_by = "as models of its kind do" if is_derived else f"as {entry.config} says"
        return (
            f"It is painted as predicting {predicts}{zero_snr}, {said_by}: the file itself does not say."
            f" Should its pictures be noise, add it again with --prediction {other}."
        )
    return f"It is painted as predicting {predicts}{zero_snr}, {source}."


def _origin(entry: Entry | None) -> str:
    if entry is None:
        return "built in"
    return entry.page or (f"{entry.source}@{entry.revision[:12]}" if entry.revision else entry.path)


def _control_base(family: str, width: int) -> str:
    """Return what a ControlNet is for: one that reads no prompt of a certain width is for all models of its family."""
    if width == 0 and family in FAMILIES:
        return FAMILIES[family].title
    return BASES.get(width, f"{family}, width {width}")


def _base(extra: PromptAddon) -> str:
    if named := name_family(extra):
        return f"for {named}"
    return f"for models of width {extra.context_width}" if extra.context_width else "for a model it does not name"
