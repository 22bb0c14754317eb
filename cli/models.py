"""List, add and remove models, and print lines for a person to read: `bot.py models`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.model_defaults import describe_guess
from cli.model_list import list_all
from cli.model_sources import fetch_config, fetch_source
from cli.previews import take_preview
from generation.errors import ConfigurationError
from generation.models.add import add_path
from generation.models.failed_loads import Loadable
from generation.models.families import FAMILIES
from generation.models.guess import GUESSES
from generation.models.layout import read_file_statement, read_scheduler
from generation.models.named_parts import list_users
from generation.models.names import label
from generation.models.previews import keep_preview, remove_unused
from generation.models.registry import PARTS, Entry, Kind, ModelRegistry
from generation.models.scan import scan as scan_folder
from generation.models.scheduler_config import V_PREDICTION, Stated
from generation.models.single_file_settings import SETTINGS_DIR
from generation.program import format_command
from generation.workers.trial_load import require_fitting, require_loadable

Say = Callable[[str], None]
_USE = {
    Kind.MODEL: "It is offered to members, by a running bot within seconds. ATELIER_MODEL={name} makes it the default.",
    Kind.LORA: "Members call it by <lora:{name}:0.8> in a prompt. A running bot takes it up within seconds.",
    Kind.EMBEDDING: "Members call it by its name, {name}, in a prompt. A running bot takes it up within seconds.",
    Kind.UPSCALER: "It enlarges pictures; /upscale upscaler:{name} names it. A running bot takes it up within seconds.",
    Kind.CONTROL: "It holds pictures to the lines of another; /control net:{name} names it. A running bot follows.",
    Kind.IP_ADAPTER: "It lets models see a picture; /imagine reference: uses it. A running bot takes it up in seconds.",
    Kind.IMAGE_ENCODER: "IP-Adapters that were made with it see pictures through it, from now on.",
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
    for each in list_all(models_dir, failed):
        yield from each.list_lines()


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
    text_encoder_2: str | None = None,
    text_encoder_3: str | None = None,
    image_encoder: str | None = None,
    storage: str | None = None,
    prediction: str | None = None,
    half: bool = False,
    replaces: bool = False,
    civitai_token: str = "",
    tell: Say | None = None,
) -> Entry:
    """Add a path, or fetch from the hub or Civitai and add. Raise `ConfigurationError`; then nothing was entered.

    `say` hears of each step, and of the result too unless `tell` does.
    """
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
    parts = (vae, text_encoder, text_encoder_2, text_encoder_3)
    entry = add_path(
        models_dir,
        source.path,
        say=say,
        require_loadable=require_loadable,
        require_fitting=require_fitting,
        name=source.name,
        config=config,
        parts={part: wanted for part, wanted in zip(PARTS, parts, strict=True) if wanted is not None},
        image_encoder=image_encoder,
        storage=storage,
        prediction=prediction,
        replaces=replaces,
        origin=source.origin,
    )
    entry = keep_preview(models_dir, entry, take_preview)
    remove_unused(models_dir)
    return _tell(models_dir, entry, tell or say)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What was found below a folder: what was added, how many were there already, and why some were left out."""

    added: dict[str, str]
    num_known: int
    left_out: dict[str, str]


def scan(models_dir: Path, root: str, *, say: Say) -> Scanned:
    """Add all below a folder. Raise `ConfigurationError` for no folder."""
    folder, quiet = Path(root).expanduser(), lambda line: None
    added, left_out, num_known = dict[str, str](), dict[str, str](), 0

    def add_one(path: Path) -> Entry:
        entry = add_path(
            models_dir, path, say=quiet, require_loadable=require_loadable, require_fitting=require_fitting
        )
        return keep_preview(models_dir, entry, take_preview)

    for found in scan_folder(models_dir, folder, add_one):
        shown = found.path.relative_to(folder)
        if found.entry is not None:
            added[found.entry.name] = str(shown)
            say(f"added      {label(found.entry.kind)} {found.entry.name}  ({shown})")
        elif found.problem:
            left_out[str(shown)] = found.problem
            say(f"left out   {shown}: {found.problem}")
        else:
            num_known += 1
    say(f"{len(added)} added; {num_known} there already; {len(left_out)} left out.")
    return Scanned(added, num_known, left_out)


def remove(models_dir: Path, name: str, *, say: Say) -> Entry:
    """Take a name out of the register and return what it was; no file is touched.

    Raise `ConfigurationError` if there is none, or it is in use.
    """
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
    return entry


def list_facts(models_dir: Path, entry: Entry) -> dict[str, Any]:
    """Return what a program wants to know of something that was added."""
    known = {"kind": entry.kind, "name": entry.name, "family": entry.family, "licence": entry.licence}
    known |= {"source": entry.source, "revision": entry.revision, "page": entry.page}
    return known | {"path": str(entry.place(models_dir)), "files": entry.files, "trigger_words": entry.trigger_words}


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
    if entry.kind is Kind.MODEL and not FAMILIES[entry.family].is_flow:
        say(_prediction(models_dir, entry))
    if entry.kind in GUESSES and (described := describe_guess(models_dir, entry)):
        say(described)
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
