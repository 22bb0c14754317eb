"""Every command of the shell and its options. A command imports what it needs when it is called."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import __version__
from cli.execution import chosen_home, escape_output, load_settings, run_async, run_guarded

_PLAIN: dict[str, Any] = {"no_args_is_help": True, "add_completion": False, "rich_markup_mode": None}
"""Without rich: it takes three times as long to import as all the rest of `--help`."""
app = typer.Typer(**_PLAIN, pretty_exceptions_enable=False)
quota_app = typer.Typer(**_PLAIN, help="The books of what was asked for and charged.")
app.add_typer(quota_app, name="quota")
models_app = typer.Typer(**_PLAIN, help="Models, LoRA, textual inversions and VAE: which there are.")
app.add_typer(models_app, name="models")


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        from db.revisions import newest_revision

        schema = run_guarded(newest_revision)
        typer.echo(f"Atelier {__version__}, database {schema}, Python {sys.version.split()[0]}")
        raise typer.Exit


@app.callback(help="Atelier, a Discord bot that paints. README.md says how to begin.")
def main(
    says_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Say which Atelier this is.")
    ] = False,
    home: Annotated[
        Path | None,
        typer.Option(help="The folder of .env and data; else ATELIER_HOME, else as docs/settings.md says."),
    ] = None,
) -> None:
    chosen_home.set(home)


@app.command("serve")
def serve_command() -> None:
    """Run the bot until it is told to stop."""
    from cli.serve import serve

    run_async(serve(load_settings()))


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the local Discord's page.")] = 8080,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the trial's database and pictures are kept; `sandbox-data` at home.")
    ] = None,
) -> None:
    """Try everything without a Discord account: the real bot against a local Discord, in your browser."""
    from cli.trial import run_trial

    raise typer.Exit(run_guarded(lambda: run_trial(port, data_dir)))


@app.command()
def imagine(
    prompt: Annotated[str, typer.Argument(help="What to paint.")],
    out: Annotated[Path, typer.Option(help="PNG file to write; with --count, FILE-1.png and so on.")],
    seed: Annotated[int | None, typer.Option(help="Of the first picture; random if left out.")] = None,
    count: Annotated[int, typer.Option(help="How many pictures.")] = 1,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    steps: Annotated[int | None, typer.Option(help="Denoising steps.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow the prompt.")] = None,
    sampler: Annotated[str | None, typer.Option(help="Sampler by its usual name, for example “Euler a”.")] = None,
    negative: Annotated[str, typer.Option(help="What to avoid.")] = "",
    model: Annotated[str | None, typer.Option(help="A name from `models list`, or a model folder.")] = None,
    clip_skip: Annotated[int | None, typer.Option(help="The text encoder's layer, from the end.")] = None,
) -> None:
    """Paint from the shell, through the same queue, worker and database as the bot."""
    from cli import generate

    settings = load_settings(model=model)
    options = generate.ImagineOptions(prompt, negative, size, steps, guidance, sampler, seed, clip_skip)
    run_guarded(lambda: generate.imagine(settings, options, out=out, count=count))


@app.command("replay")
def replay_command(source: Annotated[str, typer.Argument(metavar="FILE.png|JOB_ID")]) -> None:
    """Paint a picture again from its recipe and compare: exit status 0 only if every byte is the same."""
    from cli import generate

    settings = load_settings()
    raise typer.Exit(0 if run_guarded(lambda: generate.replay(settings, source)) else 1)


@app.command("verify")
def verify_command(file: Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP.")]) -> None:
    """Say what a picture file says of itself: made by a machine or not, with a recipe or not, changed since or not."""
    from cli import generate

    raise typer.Exit(0 if run_guarded(lambda: generate.verify(file)) else 1)


@app.command("doctor")
def doctor_command() -> None:
    """Check all that `serve` needs, and say what to do. Changes nothing; exit status 0 if `serve` would start."""
    from cli.doctor import Outcome, run_checks

    results = run_async(run_checks(load_settings()))
    for result in results:
        typer.echo(f"{result.outcome:<4} {result.name}: {result.text}")
    raise typer.Exit(1 if any(result.outcome is Outcome.FAILED for result in results) else 0)


@app.command()
def weight(
    guild_id: Annotated[int, typer.Argument(help="The server's id.")],
    value: Annotated[float | None, typer.Argument(help="0.01 to 100; 1 is usual. Left out: only look.")] = None,
) -> None:
    """Say how much of the machine a server may claim relative to the others. Holds from the bot's next start."""
    from cli import admin

    typer.echo(run_async(admin.set_weight(load_settings(), guild_id, value)))


@app.command()
def boost(
    guild_id: Annotated[int, typer.Argument(help="The server's id.")],
    role_id: Annotated[int, typer.Argument(help="The role's id; the server's own id means everyone.")],
    factor: Annotated[float, typer.Argument(help="0.01 to 100; 1 takes the boost away.")],
) -> None:
    """Say how often members of a role take a turn within their server. It takes nothing from other servers."""
    from cli import admin

    typer.echo(run_async(admin.set_boost(load_settings(), guild_id, role_id, factor)))


@app.command("export")
def export_command(
    user_id: Annotated[int, typer.Argument(help="The person's Discord user id.")],
    folder: Annotated[Path, typer.Argument(help="Where to put the files.")],
) -> None:
    """Write all that is kept of a person to files, for one of whom more is kept than Discord takes."""
    from cli import admin

    for line in run_async(admin.export(load_settings(), user_id, folder)):
        typer.echo(line)


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="A new file.")]) -> None:
    """Write a checked copy of the database, also while the bot runs. Copy the folder of pictures after it."""
    from cli import admin

    typer.echo(run_guarded(lambda: admin.back_up(load_settings(), file)))


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="What `backup` wrote.")]) -> None:
    """Put a backup in the place of the database, which is kept beside it. The bot must be stopped."""
    from cli import admin

    typer.echo(run_guarded(lambda: admin.restore(load_settings(), file)))


@quota_app.command("reconcile")
def quota_reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs, by new postings only.")] = False,
) -> None:
    """Prove that the ledger's sums are the balances: exit status 0 only if everything was exact."""
    from cli import admin

    found = run_async(admin.reconcile_quotas(load_settings(), repair=repair))
    for line in admin.describe(found, repaired=repair):
        typer.echo(line)
    raise typer.Exit(0 if found.is_exact else 1)


@models_app.command("list")
def models_list() -> None:
    """Show what there is, from where, and under which licence."""
    from cli import models
    from generation.models.failed_loads import FailedLoads

    settings = load_settings()
    failed = FailedLoads(settings.engine.failed_loads)
    for line in run_guarded(lambda: list(models.list_models(settings.folder_of_models, failed.of))):
        typer.echo(line)


@models_app.command("add")
def models_add(
    what: Annotated[str, typer.Argument(metavar="PATH|HUB_ID|LINK", help="A file, a folder, owner/name, a link.")],
    name: Annotated[str | None, typer.Option(help="What people will call it; else made from the file's name.")] = None,
    revision: Annotated[str | None, typer.Option(help="Of the hub: branch, tag or commit; pinned as a commit.")] = None,
    config: Annotated[str | None, typer.Option(help="For a checkpoint in one file: model folder or name.")] = None,
    vae: Annotated[str | None, typer.Option(help="For a model: the VAE to use instead of its own.")] = None,
    prediction: Annotated[
        str | None, typer.Option(metavar="v|epsilon", help="For a model that does not say what it predicts.")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Of the hub: half precision where it is offered.")] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Of the same name and kind: it gives way.")] = False,
) -> None:
    """Check a model, LoRA, textual inversion or VAE, fetch it if need be, and offer it: a running bot takes it up."""
    from cli import models

    settings = load_settings()
    folder, token = settings.folder_of_models, settings.civitai_token
    options: dict[str, Any] = {"name": name, "revision": revision, "config": config, "vae": vae}
    options |= {"prediction": prediction, "half": half, "replaces": replace}
    options["civitai_token"] = token.get_secret_value() if token is not None else ""
    _change_models(folder, lambda: models.add(folder, what, say=typer.echo, **options))


@models_app.command("scan")
def models_scan(
    path: Annotated[str, typer.Argument(help="The folder that another program keeps its models in.")],
) -> None:
    """Add all checkpoints, LoRA, textual inversions and VAE below a folder. They stay where they are."""
    from cli import models

    folder = load_settings().folder_of_models
    _change_models(folder, lambda: models.scan(folder, path, say=typer.echo))


@models_app.command("set")
def models_set(
    name: Annotated[str, typer.Argument(help="What `models list` calls it.")],
    steps: Annotated[int | None, typer.Option(help="1 to 150.")] = None,
    guidance: Annotated[
        float | None, typer.Option(help="0 to 30; at 1 or below a negative prompt does nothing.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="As in /imagine, for example `Euler SGM Uniform`.")] = None,
    size: Annotated[int | None, typer.Option(metavar="PIXELS", help="The side of a square picture.")] = None,
    clip_skip: Annotated[int | None, typer.Option(help="1 uses the last layer of the text encoder.")] = None,
    negative: Annotated[str | None, typer.Option(help="For prompts without a negative one; '' for none.")] = None,
    prefix: Annotated[str | None, typer.Option(help="Words before every prompt; '' for none.")] = None,
    suffix: Annotated[str | None, typer.Option(help="Words behind every prompt; '' for none.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget what was set, and guess again.")] = False,
) -> None:
    """Set what a model is painted with where a request leaves it open. A running bot takes it up."""
    from cli import model_defaults

    folder = load_settings().folder_of_models
    chosen: dict[str, Any] = {"steps": steps, "guidance": guidance, "sampler": sampler, "native_px": size}
    chosen |= {"clip_skip": clip_skip, "negative": negative, "prefix": prefix, "suffix": suffix, "resets": reset}
    _change_models(folder, lambda: model_defaults.set_defaults(folder, name, say=typer.echo, **chosen))


@models_app.command("remove")
def models_remove(name: Annotated[str, typer.Argument(help="What `models list` calls it.")]) -> None:
    """Offer it no more, also in a running bot. Its files stay where they are."""
    from cli import models

    folder = load_settings().folder_of_models
    _change_models(folder, lambda: models.remove(folder, name, say=typer.echo))


@models_app.command("verify")
def models_verify() -> None:
    """Hash every file again and apply today's rules: exit status 0 only if all is as it was added."""
    from generation.models.verify import verify

    found = run_guarded(lambda: list(verify(load_settings().folder_of_models)))
    for each in found:
        typer.echo(f"{'BAD ' if each.problem else 'ok  '} {each.name}{': ' if each.problem else ''}{each.problem}")
    raise typer.Exit(1 if any(each.problem for each in found) else 0)


def _change_models(models_dir: Path, work: Callable[[], object]) -> None:
    """Run a command that changes the register of models: one at a time, or the slower would undo the other."""
    from db.lock import ModelsLock

    def work_locked() -> None:
        with ModelsLock(models_dir):
            work()

    run_guarded(work_locked)


def run() -> None:
    """Run the command line."""
    escape_output()
    app()
