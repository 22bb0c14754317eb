"""The way in: the command line, and the one place where all the rooms are joined. Nothing imports this."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, TypeVar

import discord
import typer

import config
import keeper
import logs
import shell
from cli import models as library
from cogs.common.pending_uploads import PendingUploads
from cogs.connection import keep_connected
from cogs.maintenance import keep_promises
from cogs.services import Services
from config import Settings
from db.admin.personal import PersonalStore
from db.admin.removed_guilds import DepartureStore
from db.admin.retention import RetentionStore
from db.engine import Database
from db.integrity import newest_revision
from db.lock import ModelsLock
from db.stores.audit_log import AuditLogStore
from db.stores.content_rules import ContentRuleStore
from db.stores.deliveries import DeliveryStore
from db.stores.favourites import KeepsakeStore
from db.stores.guild_policy import GuildPolicyStore
from db.stores.history import AlbumStore
from db.stores.jobs import JobStore
from db.stores.moderation import ModerationStore
from db.stores.operator import OperatorStore
from db.stores.quotas import QuotaStore
from db.stores.reviews import ReviewStore
from db.stores.settings import SettingsStore
from db.stores.styles import StyleStore
from db.stores.usage import UsageStore
from doctor import Outcome, require_startable, run_checks
from env_file import find_home
from generation import failpoints
from generation.clock import utc_now
from generation.errors import AtelierError, Misconfigured
from generation.images.c2pa import credentials_of
from generation.images.cleanup import keep_swept, keep_tidy
from generation.images.replay import Agreement, Verdict
from generation.images.store import ImageFiles
from generation.local_files import FileUnusableError
from generation.models.catalog import Catalog
from generation.models.failed_loads import FailedLoads
from generation.models.sizes import parse_size
from generation.models.verify import verify
from generation.requests.prompt import clean_prompt
from generation.requests.prompt_addons import read_prompts
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.unread_syntax import notes_on
from generation.retry import Problems, num_stuck
from generation.rules.screening import Screener
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.service import Studio
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker
from health import serve_health
from network import ProxyConnector, settle_proxy

if TYPE_CHECKING:
    from discord_sandbox import Sandbox

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
quota_app = typer.Typer(no_args_is_help=True, help="The books of what was asked for and charged.")
app.add_typer(quota_app, name="quota")
models_app = typer.Typer(no_args_is_help=True, help="Models, LoRA, textual inversions and VAE: which there are.")
app.add_typer(models_app, name="models")
log = logging.getLogger("atelier")
T = TypeVar("T")
_said_home: ContextVar[Path | None] = ContextVar("home", default=None)
"""What `--home` says."""
_LAST_ADMISSIONS_S = 3.0
"""How long a stop waits for those who are being let in: by then Discord has given up on who was not acknowledged."""


@dataclass(frozen=True, slots=True)
class House:
    """Everything but Discord, open and running."""

    studio: Studio
    jobs: JobStore
    database: Database
    files: ImageFiles
    running: asyncio.Task[None]
    screener: Screener
    problems: Problems


@asynccontextmanager
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """Database, worker and studio, opened in this order and closed in the other."""
    catalog = Catalog.open(settings.model, settings.folder_of_models)
    for name, why in catalog.left_out.items():
        log.warning("model=%s action=left-out reason=%s", name, why)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(await Database.open(settings.url_of_database, settings.data_dir))
        worker = LocalWorker(WorkerConfig(models=catalog.models, settings=settings.engine))
        stack.push_async_callback(worker.close)
        screener = stack.enter_context(contextlib.closing(Screener()))
        jobs, files = JobStore(database), ImageFiles(settings.pictures_dir)
        queue = FairQueue(max_per_user=settings.max_waiting_per_user, max_per_guild=settings.max_waiting_per_guild)
        studio = Studio(
            worker=worker, store=jobs, files=files, catalog=catalog, queue=queue, check_safety=settings.safety_checker
        )
        studio.failed_loads = FailedLoads(settings.engine.failed_loads)
        studio.is_closed = await OperatorStore(database).is_closed()
        studio.pause(await OperatorStore(database).is_paused())
        chosen = SettingsStore(database)
        for guild in await chosen.fetch_all():
            studio.set_weight(guild.guild_id, guild.weight)
        for boost in await chosen.fetch_boosts():
            studio.set_boost(boost)
        running = asyncio.create_task(studio.run(), name="studio")
        stack.push_async_callback(_stop, running)
        retention, problems = RetentionStore(database), Problems()
        tidying = asyncio.create_task(keep_tidy(retention, files, problems), name="tidying")
        stack.push_async_callback(_stop, tidying)
        sweeping = asyncio.create_task(keep_swept(retention, files, problems), name="sweeping")
        stack.push_async_callback(_stop, sweeping)
        yield House(studio, jobs, database, files, running, screener, problems)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"Atelier {version('atelier')}, database {newest_revision()}, Python {sys.version.split()[0]}")
        raise typer.Exit


@app.callback(help="Atelier, a Discord bot that paints. README.md says how to begin.")
def main(
    says_version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say which Atelier this is.")
    ] = False,
    home: Annotated[
        Path | None, typer.Option(help="The folder of .env and data; else ATELIER_HOME, else the program's own.")
    ] = None,
) -> None:
    _said_home.set(home)


@app.command()
def serve() -> None:
    """Run the bot until it is told to stop."""
    _run(_serve(_load()))


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for concern in await require_startable(settings):
        log.warning("check=%s action=warned reason=%s", concern.name, concern.text)
    key = settings.c2pa_key.get_secret_value() if settings.c2pa_key else None
    async with open_house(settings) as house:
        _keep_pauses_rare()
        guild_policy = GuildPolicyStore(house.database)
        services = Services(
            studio=house.studio,
            jobs=house.jobs,
            deliveries=DeliveryStore(house.database),
            guilds=SettingsStore(house.database),
            guild_policy=guild_policy,
            content_rules=ContentRuleStore(house.database, on_change=guild_policy.forget, screener=house.screener),
            audit_log=AuditLogStore(house.database),
            reviews=ReviewStore(house.database, clock=utc_now),
            moderation=ModerationStore(house.database, clock=utc_now),
            personal=PersonalStore(house.database, clock=utc_now),
            owner_ids=settings.owners,
            allows_dms=settings.allow_dms,
            quotas=QuotaStore(house.database),
            usage=UsageStore(house.database),
            album=AlbumStore(house.database),
            keepsakes=KeepsakeStore(house.database),
            styles=StyleStore(house.database),
            pending_uploads=PendingUploads(settings.data_dir / "forms"),
            operating=OperatorStore(house.database),
            credentials=credentials_of(settings.c2pa_certificates, key, settings.c2pa_algorithm),
            problems=house.problems,
            departures=DepartureStore(house.database, clock=utc_now, grace=timedelta(days=settings.guild_grace_days)),
        )
        assert settings.discord_token is not None
        facts = _Facts(house.studio, house.database, house.problems)
        async with serve_health(settings.health_port, facts):
            token = settings.discord_token.get_secret_value()
            discord = asyncio.create_task(
                keep_connected(
                    services,
                    token,
                    url=settings.discord_url,
                    report=facts.hear,
                    connector=lambda: ProxyConnector(limit=0),
                )
            )
            stopped = asyncio.create_task(stop.wait())
            upkeep = asyncio.create_task(keep_promises(services), name="upkeep")
            done, _ = await asyncio.wait((discord, stopped, house.running), return_when=asyncio.FIRST_COMPLETED)
            if stopped in done:
                log.info("action=draining grace_s=%s", settings.shutdown_grace_s)
                await services.admission_limiter.close(patience_s=_LAST_ADMISSIONS_S)
                await house.studio.drain(grace_s=settings.shutdown_grace_s)
            stopped.cancel()
            await _stop(upkeep)
            await _stop(discord)
            for task in done - {stopped}:
                task.result()


def _keep_pauses_rare() -> None:
    """Looking through all that lives for cycles stops the loop: a third of a second with 10,000 jobs in line, and by
    default every three seconds while they come in. What the program is made of needs no looking at; the rest is
    looked through a twenty-fifth as often, and every ten minutes (`cogs.maintenance`).
    """
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 250)


class _Facts:
    """What `/healthz` says."""

    def __init__(self, studio: Studio, database: Database, problems: Problems) -> None:
        self._studio, self._database, self._problems = studio, database, problems
        self._discord = "connecting"

    def hear(self, state: str) -> None:
        self._discord = state

    def __call__(self) -> dict[str, object]:
        problems = [] if self._discord == "connected" else [f"Discord: {self._discord}"]
        if not self._studio.is_ready:
            why = f" ({trouble})" if (trouble := self._studio.trouble) else ""
            problems.append(f"The painter is starting or restarting{why}.")
        if stuck := num_stuck():
            problems.append(f"Storage refuses {stuck} writes; they are tried again. Is the disk full, or read-only?")
        if (lost := self._database.files.problem) is not None:
            problems.append(lost)
        problems += self._problems
        return {
            "discord": self._discord,
            "painter_ready": self._studio.is_ready,
            "waiting": self._studio.num_waiting,
            "running": self._studio.num_running,
            "problems": problems,
        }


@app.command()
def sandbox(
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the local Discord's page.")] = 8080,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where the trial's database and pictures are kept; `sandbox-data` at home.")
    ] = None,
) -> None:
    """Try everything without a Discord account: the real bot against a local Discord, in your browser."""
    from discord_sandbox.launch import run_with_bot  # only here: a real server never loads it

    home = _guarded(lambda: find_home(_said_home.get()))
    folder = (data_dir or home / "sandbox-data").absolute()

    def environment(discord: Sandbox) -> dict[str, str]:
        return {
            "ATELIER_HOME": str(home),
            "ATELIER_DISCORD_URL": discord.url,
            "ATELIER_DISCORD_TOKEN": discord.token,
            "ATELIER_DATA_DIR": str(folder),
            "ATELIER_DATABASE_URL": f"sqlite:///{folder / 'atelier.db'}",  # never that of a bot that is at work
            "ATELIER_HEALTH_PORT": "0",
            "ATELIER_LOG_LEVEL": os.environ.get("ATELIER_LOG_LEVEL", "WARNING"),
        }

    command = [sys.executable, str(Path(__file__).resolve()), "serve"]
    status = _run(run_with_bot(command, port=port, environment=environment, say=typer.echo, bot_name="Atelier"))
    raise typer.Exit(status)


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
    clip_skip: Annotated[int, typer.Option(help="Which layer of the text encoder is used, from the end.")] = 1,
) -> None:
    """Paint from the shell, through the same queue, worker and database as the bot."""
    settings = _load(model=model)
    _guarded(lambda: shell.require_writable(out))

    async def paint() -> None:
        async with open_house(settings) as house:
            chosen = house.studio.catalog.default
            written = read_prompts(chosen, clean_prompt(prompt), clean_prompt(negative))
            spec = ImageSpec.for_model(
                chosen,
                **written._asdict(),
                size_px=parse_size(chosen, size) if size else None,
                steps=steps,
                guidance=guidance,
                sampler=sampler,
                seed=draw_seed() if seed is None else seed,
                clip_skip=clip_skip,
            )
            for note in notes_on(spec):
                typer.echo(note, err=True)
            job = await shell.paint(house.studio, house.running, GenerationRequest(spec=spec, count=count))
            for image in job.images:
                target = out if count == 1 else out.with_stem(f"{out.stem}-{image.index + 1}")
                target.write_bytes(shell.png_of(house.studio, image))
                typer.echo(target)

    _run(paint())


@app.command("replay")
def replay_command(source: Annotated[str, typer.Argument(metavar="FILE.png|JOB_ID")]) -> None:
    """Paint a picture again from its recipe and compare: exit status 0 only if every byte is the same."""
    settings = _load()
    is_file = Path(source).suffix.lower() == ".png" or _guarded(lambda: Path(source).exists())
    from_file = _guarded(lambda: shell.read_file(Path(source))) if is_file else None

    async def again() -> Verdict:
        async with open_house(settings) as house:
            originals = from_file or await shell.read_job(house.studio, house.jobs, source)
            return await shell.replay(house.studio, house.running, originals)

    verdict = _run(again())
    typer.echo(json.dumps(asdict(verdict)))
    raise typer.Exit(0 if verdict.verdict is Agreement.IDENTICAL else 1)


@app.command("verify")
def verify_command(file: Annotated[Path, typer.Argument(help="A PNG, JPEG or WebP.")]) -> None:
    """Say what a picture file says of itself: made by a machine or not, with a recipe or not, changed since or not."""
    disclosure = _guarded(lambda: shell.verify_file(file))
    typer.echo(json.dumps(asdict(disclosure)))
    raise typer.Exit(0 if disclosure.is_sound else 1)


@app.command()
def doctor() -> None:
    """Check all that `serve` needs, and say what to do. Changes nothing; exit status 0 if `serve` would start."""
    results = _run(run_checks(_load()))
    for result in results:
        typer.echo(f"{result.outcome:<4} {result.name}: {result.text}")
    raise typer.Exit(1 if any(result.outcome is Outcome.FAILED for result in results) else 0)


@app.command()
def weight(
    guild_id: Annotated[int, typer.Argument(help="The server's id.")],
    value: Annotated[float | None, typer.Argument(help="0.01 to 100; 1 is usual. Left out: only look.")] = None,
) -> None:
    """Say how much of the machine a server may claim relative to the others. Holds from the bot's next start."""
    typer.echo(_run(keeper.weigh(_load(), guild_id, value)))


@app.command()
def boost(
    guild_id: Annotated[int, typer.Argument(help="The server's id.")],
    role_id: Annotated[int, typer.Argument(help="The role's id; the server's own id means everyone.")],
    factor: Annotated[float, typer.Argument(help="0.01 to 100; 1 takes the boost away.")],
) -> None:
    """Say how often members of a role take a turn within their server. It takes nothing from other servers."""
    typer.echo(_run(keeper.boost(_load(), guild_id, role_id, factor)))


@app.command("export")
def export_command(
    user_id: Annotated[int, typer.Argument(help="The person's Discord user id.")],
    folder: Annotated[Path, typer.Argument(help="Where to put the files.")],
) -> None:
    """Write all that is kept of a person to files, for one of whom more is kept than Discord takes."""
    for line in _run(keeper.export(_load(), user_id, folder)):
        typer.echo(line)


@app.command()
def backup(file: Annotated[Path, typer.Argument(help="A new file.")]) -> None:
    """Write a checked copy of the database, also while the bot runs. Copy the folder of pictures after it."""
    typer.echo(_guarded(lambda: keeper.back_up(_load(), file)))


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="What `backup` wrote.")]) -> None:
    """Put a backup in the place of the database, which is kept beside it. The bot must be stopped."""
    typer.echo(_guarded(lambda: keeper.restore(_load(), file)))


@quota_app.command("reconcile")
def quota_reconcile(
    repair: Annotated[bool, typer.Option("--repair", help="Put right what differs, by new postings only.")] = False,
) -> None:
    """Prove that the ledger's sums are the balances: exit status 0 only if everything was exact."""
    found = _run(keeper.check_books(_load(), repair=repair))
    for line in keeper.findings(found, repaired=repair):
        typer.echo(line)
    raise typer.Exit(0 if found.is_exact else 1)


@models_app.command("list")
def models_list() -> None:
    """Show what there is, from where, and under which licence."""
    settings = _load()
    failed = FailedLoads(settings.engine.failed_loads)
    for line in _guarded(lambda: list(library.listing(settings.folder_of_models, failed.of))):
        typer.echo(line)


@models_app.command("add")
def models_add(
    what: Annotated[str, typer.Argument(metavar="PATH|HUB_ID", help="A file, a folder, owner/name, owner/name/FILE.")],
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
    """Check a model, LoRA, textual inversion or VAE, fetch it if need be, and offer it from the next start."""
    folder = _load().folder_of_models
    options = {"name": name, "revision": revision, "config": config, "vae": vae, "prediction": prediction}
    _changing(folder, lambda: library.add(folder, what, say=typer.echo, half=half, replaces=replace, **options))


@models_app.command("remove")
def models_remove(name: Annotated[str, typer.Argument(help="What `models list` calls it.")]) -> None:
    """Offer it no more from the next start. Its files stay where they are."""
    folder = _load().folder_of_models
    _changing(folder, lambda: library.remove(folder, name, say=typer.echo))


@models_app.command("verify")
def models_verify() -> None:
    """Hash every file again and apply today's rules: exit status 0 only if all is as it was added."""
    found = _guarded(lambda: list(verify(_load().folder_of_models)))
    for each in found:
        typer.echo(f"{'BAD ' if each.problem else 'ok  '} {each.name}{': ' if each.problem else ''}{each.problem}")
    raise typer.Exit(1 if any(each.problem for each in found) else 0)


def _changing(models_dir: Path, work: Callable[[], object]) -> None:
    """Run a command that changes the register of models: one at a time, or the slower would undo the other."""

    def locked() -> None:
        with ModelsLock(models_dir):
            work()

    _guarded(locked)


async def _stop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it has let go."""
    task.cancel()
    await asyncio.wait((task,))


def _load(**overrides: str | None) -> Settings:
    try:
        settings = config.load(_said_home.get(), **overrides)
        failpoints.arm(settings.failpoints)
        secrets = settle_proxy(settings.proxy.get_secret_value() if settings.proxy else None)
    except Misconfigured as wrong:
        _fail(wrong)
    logs.set_up(settings.log_level, secrets=(*settings.secrets, *secrets))
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # nobody here wants to speak
    return settings


def _run(work: Coroutine[Any, Any, T]) -> T:
    return _guarded(lambda: asyncio.run(work))


def _guarded(work: Callable[[], T]) -> T:
    """What a person can mend is one sentence, not a traceback."""
    try:
        return work()
    except AtelierError as wrong:
        _fail(wrong)
    except BrokenPipeError:
        raise  # typer ends quietly when the reader of a pipe has gone
    except OSError as error:
        log.debug("action=failed", exc_info=True)
        if error.filename is None:
            _fail(Misconfigured(problem=f"The system refuses: {error.strerror or error}.", remedy=""))
        why = FileUnusableError.of(error)
        _fail(Misconfigured(problem=f"{error.filename} {why.problem}.", remedy=why.remedy))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _fail(wrong: AtelierError) -> NoReturn:
    """End with a sentence: status 2 for what the operator has to change, as for words that are no command; else 1."""
    typer.echo(f"atelier: {wrong}", err=True)
    raise typer.Exit(2 if isinstance(wrong, Misconfigured) else 1)


def run() -> None:
    """Run the command line. What a console cannot show is escaped: printing never ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    run()
