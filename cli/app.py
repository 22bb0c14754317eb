"""Every command of the shell and its options. A command imports what it needs when it is called."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli import __version__
from cli.api_commands import api_command, token_app
from cli.completion import complete_models, complete_samplers, complete_words
from cli.execution import PLAIN, chosen_home, escape_output, load_settings, pause_collecting, run_async, run_guarded
from cli.fleet_commands import fleet_app
from cli.model_commands import models_app
from cli.output import Json, choose, show

app = typer.Typer(**PLAIN, pretty_exceptions_enable=False)
quota_app = typer.Typer(**PLAIN, help="The books of what was asked for and charged.")
database_app = typer.Typer(**PLAIN, help="The database as a whole.")
app.add_typer(quota_app, name="quota")
app.add_typer(database_app, name="database")
app.add_typer(token_app, name="token")
app.add_typer(models_app, name="models")
app.add_typer(fleet_app, name="fleet")


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
    choose(False)


@app.command("serve")
def serve_command(
    wait: Annotated[
        bool, typer.Option("--wait", help="Stand by while another bot runs, and go on where it ends.")
    ] = False,
) -> None:
    """Run the bot until it is told to stop."""
    import asyncio

    from cli.fleet_start import end_driver, start_driver

    settings = load_settings(is_service=True, starts_worker=not wait)
    with asyncio.Runner() as runner:
        # A standby has time to load Ray when its turn has come, and no need of it before.
        driver = None if wait else runner.run(start_driver(settings))
        try:
            from cli.serve import serve  # takes two seconds, in which the driver loads Ray and connects

            run_guarded(lambda: runner.run(serve(settings, waits=wait, driver=driver)))
        finally:
            runner.run(end_driver(driver))


app.command("api")(api_command)


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
    sampler: Annotated[
        str | None,
        typer.Option(help="Sampler by its usual name, for example “Euler a”.", autocompletion=complete_samplers),
    ] = None,
    negative: Annotated[str, typer.Option(help="What to avoid.")] = "",
    model: Annotated[
        str | None,
        typer.Option(help="A name from `models list`, or a model folder.", autocompletion=complete_models),
    ] = None,
    clip_skip: Annotated[int | None, typer.Option(help="The text encoder's layer, from the end.")] = None,
    as_json: Json = False,
) -> None:
    """Paint from the shell, through the same queue, worker and database as the bot. Exit status 1 if one is missing."""
    settings = load_settings(model=model, starts_worker=True)
    from cli import generate  # takes a second, in which the worker imports torch

    options = generate.ImagineOptions(prompt, negative, size, steps, guidance, sampler, seed, clip_skip)
    raise typer.Exit(0 if run_guarded(lambda: generate.imagine(settings, options, out=out, count=count)) else 1)


@app.command("replay")
def replay_command(source: Annotated[str, typer.Argument(metavar="FILE.png|JOB_ID")], as_json: Json = False) -> None:
    """Paint a picture again from its recipe and compare: exit status 0 only if every byte is the same."""
    settings = load_settings(starts_worker=True)
    from cli import generate

    raise typer.Exit(0 if run_guarded(lambda: generate.replay(settings, source)) else 1)


@app.command("verify")
def verify_command(file: Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP.")], as_json: Json = False) -> None:
    """Say what a picture file says of itself: made by a machine or not, with a recipe or not, changed since or not."""
    from cli import generate

    raise typer.Exit(0 if run_guarded(lambda: generate.verify(file)) else 1)


@app.command("doctor")
def doctor_command(as_json: Json = False) -> None:
    """Check all that `serve` needs, and say what to do. Changes nothing; exit status 0 if `serve` would start."""
    from cli.doctor import Outcome, run_checks

    results = run_async(run_checks(load_settings()))
    is_startable = not any(result.outcome is Outcome.FAILED for result in results)
    show(
        {"is_startable": is_startable, "checks": [asdict(result) for result in results]},
        (f"{result.outcome:<4} {result.name}: {result.text}" for result in results),
    )
    raise typer.Exit(0 if is_startable else 1)


@app.command("setup")
def setup_command(
    token_file: Annotated[
        str | None, typer.Option(help="A file that holds the bot's token; - is standard input.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Id or name of the server to look at first.")] = None,
    model: Annotated[
        str | None,
        typer.Option(help="paintbox, sd15, sdxl, dreamshaper-lcm, or what `models add` takes: it is downloaded."),
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="auto|full|sliced|offload",
            help="How models are kept.",
            autocompletion=complete_words("auto", "full", "sliced", "offload"),
        ),
    ] = None,
    safety_checker: Annotated[
        bool | None, typer.Option("--safety-checker/--no-safety-checker", help="Check every picture, or none.")
    ] = None,
    owner_ids: Annotated[str | None, typer.Option(help="Discord ids for /operator, with commas, or none.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: every other answer is the default.")] = False,
) -> None:
    """Guide through a first start: token, server, card, model, safety. It asks in the terminal, and keeps `.env`."""
    from cli.env_file import find_home
    from cli.guide import Options, run_setup

    options = Options(token_file, server, model, memory, safety_checker, owner_ids, yes)
    settings = load_settings()
    raise typer.Exit(run_guarded(lambda: run_setup(settings, find_home(chosen_home.get()), options)))


@app.command()
def weight(
    guild_id: Annotated[int, typer.Argument(help="The server's id.")],
    value: Annotated[float | None, typer.Argument(help="0.01 to 100; 1 is usual. Left out: only look.")] = None,
    as_json: Json = False,
) -> None:
    """Say how much of the machine a server may claim relative to the others. Holds from the bot's next start."""
    from cli import admin

    guild = run_async(admin.set_weight(load_settings(), guild_id, value))
    facts = {"guild_id": str(guild_id), "weight": guild.weight}
    show(facts, [f"Guild {guild_id} has weight {guild.weight:g} (1 is usual)."])


@app.command()
def boost(
    guild_id: Annotated[int, typer.Argument(help="The server's id.")],
    role_id: Annotated[int, typer.Argument(help="The role's id; the server's own id means everyone.")],
    factor: Annotated[float, typer.Argument(help="0.01 to 100; 1 takes the boost away.")],
    as_json: Json = False,
) -> None:
    """Say how often members of a role take a turn within their server. It takes nothing from other servers."""
    from cli import admin

    run_async(admin.set_boost(load_settings(), guild_id, role_id, factor))
    facts = {"guild_id": str(guild_id), "role_id": str(role_id), "boost": factor}
    show(facts, [f"Members with role {role_id} now count {factor:g} times in guild {guild_id}."])


@app.command("export")
def export_command(
    user_id: Annotated[int, typer.Argument(help="The person's Discord user id.")],
    folder: Annotated[Path, typer.Argument(help="Where to put the files.")],
    as_json: Json = False,
) -> None:
    """Write all that is kept of a person to files, for one of whom more is kept than Discord takes."""
    from cli import admin

    files = run_async(admin.export(load_settings(), user_id, folder))
    show({"files": [str(file) for file in files]}, (f"{file} is written." for file in files))


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="A new file.")], as_json: Json = False) -> None:
    """Write a checked copy of the database, also while the bot runs. Copy the folder of pictures after it."""
    from cli import admin

    settings = load_settings()
    run_guarded(lambda: admin.back_up(settings, file))
    pictures = settings.pictures_dir
    show(
        {"file": str(file), "bytes": file.stat().st_size, "pictures": str(pictures)},
        [f"{file} holds the database. The pictures are files of their own: copy {pictures} after it."],
    )


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="What `backup` wrote.")], as_json: Json = False) -> None:
    """Put a backup in the place of the database, which is kept beside it. The bot must be stopped."""
    from cli import admin

    restored = run_guarded(lambda: admin.restore(load_settings(), file))
    beside = "; what was there is beside it, as *.before-restore" if restored.kept else ""
    show(
        {"database": restored.database, "file": str(file), "kept": restored.kept and str(restored.kept)},
        [f"{restored.database} is now what {file} holds{beside}."],
    )


@database_app.command("move")
def database_move(
    file: Annotated[Path | None, typer.Argument(help="The SQLite file; by default that in the data folder.")] = None,
    as_json: Json = False,
) -> None:
    """Move a SQLite database to the empty PostgreSQL database of ATELIER_DATABASE_URL, and check its books there."""
    from cli import admin

    settings = load_settings()
    moved = run_guarded(lambda: admin.move(settings, file))
    found = run_async(admin.reconcile_quotas(settings, repair=False))
    show(
        {"rows": moved.rows, "tables": moved.tables, "books": admin.list_facts(found, repaired=False)},
        [admin.describe_move(settings, file, moved), *admin.describe(found, repaired=False)],
    )
    raise typer.Exit(0 if found.is_exact else 1)


@quota_app.command("reconcile")
def quota_reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs, by new postings only.")] = False,
    as_json: Json = False,
) -> None:
    """Prove that the ledger's sums are the balances: exit status 0 only if everything was exact."""
    from cli import admin

    found = run_async(admin.reconcile_quotas(load_settings(), repair=repair))
    show(admin.list_facts(found, repaired=repair), admin.describe(found, repaired=repair))
    raise typer.Exit(0 if found.is_exact else 1)


def run() -> None:
    """Run the command line."""
    pause_collecting()
    escape_output()
    app()
