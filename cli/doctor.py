"""What must be in order before the bot starts: one list of checks. `serve` runs it at its start, `doctor` prints it.

A check returns what it found, raises `StartConcernError` for what the bot can start with all the same, and
`ConfigurationError` for what `serve` refuses. It changes nothing, takes no lock, and works beside a running bot.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from cli import cloud_check, discord_api, fleet, fleet_table
from cli.api import require_servable
from cli.hardware import INSTALL, describe_hardware
from cli.http_pages import describe_pages, format_address
from cli.unused_settings import find_unused
from config import Settings
from db.access import foreign_owner, network_file_system, require_data_folder, require_database_file
from db.address import describe, file_of, parse_url
from db.admin.stored_check import find_unusable
from db.lock import FolderLock, in_use
from db.migrate import require_not_half_restored
from db.postgres import NAME_KEPT
from db.readonly import find_holder, read_schema
from db.revisions import newest_revision
from db.upgrade_copy import require_room
from generation.errors import ConfigurationError, NotNowError
from generation.fleet.query import FleetOutOfReachError
from generation.fleet.version import find_version
from generation.images.c2pa import load_credentials
from generation.models.catalog import Catalog, Model
from generation.models.failed_loads import FailedLoads
from generation.program import format_command
from generation.safety.checker_trust import is_vetted

_ENOUGH_BYTES, _LEAST_BYTES = 2 * 2**30, 16 * 2**20
"""Of free disk space: below the first it is said, below the second the bot could save nothing."""
_MOST_SHOWN = 10


class StartConcernError(ConfigurationError):
    """{problem} {remedy}"""


class Outcome(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warn"
    """The bot starts all the same."""
    FAILED = "BAD"
    """The bot refuses to start."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was looked at, and in its text what to do."""

    name: str
    outcome: Outcome
    text: str
    may_pass: bool = False
    """Whether another start may do, with nothing changed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `is_for_start`: before a start too, for nothing at the start would find it as soon."""

    name: str
    run: Callable[[Settings], Awaitable[str]]
    is_for_start: bool = True


async def run_checks(settings: Settings, checks: Sequence[Check] | None = None) -> list[CheckResult]:
    """Return what every check found, or each of `checks`, in the order in which trouble is best put right."""
    return await asyncio.gather(*(_result(check, settings) for check in checks or CHECKS))


async def require_startable(settings: Settings, *, needs_discord: bool = True) -> list[CheckResult]:
    """Return what is of concern. Raise `ConfigurationError`, in the words of `doctor`, where a check fails."""
    results = await run_checks(settings, [each for each in AT_START if needs_discord or each.run is not _discord])
    if failed := [each for each in results if each.outcome is Outcome.FAILED]:
        kind = NotNowError if all(each.may_pass for each in failed) else ConfigurationError
        problem = " ".join(f"{each.name}: {each.text}" for each in failed)
        raise kind(problem=problem, remedy=f"{format_command('doctor')} shows all checks.")
    return [each for each in results if each.outcome is Outcome.WARNING]


async def _result(check: Check, settings: Settings) -> CheckResult:
    try:
        return CheckResult(check.name, Outcome.OK, await check.run(settings))
    except StartConcernError as concern:
        return CheckResult(check.name, Outcome.WARNING, str(concern))
    except ConfigurationError as wrong:
        return CheckResult(check.name, Outcome.FAILED, str(wrong), isinstance(wrong, NotNowError))
    except OSError as error:
        text = f"This cannot be looked at ({error}). Check who may read it, and the disk."
        return CheckResult(check.name, Outcome.FAILED, text)


async def _api(settings: Settings) -> str:
    if not settings.api_port:
        return "It is switched off"
    require_servable(settings)
    return f"It will listen on {settings.api_host}, port {settings.api_port}"


async def _data_folder(settings: Settings) -> str:
    folder = settings.data_dir
    require_data_folder(folder)
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(existing).free
    said = f"{free / 2**30:.1f} GiB are free in {folder}"
    remedy = "Make room, or set ATELIER_DATA_DIR to another disk."
    if free < _LEAST_BYTES:
        raise ConfigurationError(
            problem=f"The disk is full: {free / 2**20:.1f} MiB are free in {folder}.", remedy=remedy
        )
    if (owner := foreign_owner(folder)) is not None:
        problem = f"{folder} belongs to {owner}, and what another user writes there, {owner} may not change."
        raise StartConcernError(problem=problem, remedy=f"Run Atelier as {owner}.")
    if free < _ENOUGH_BYTES:
        raise StartConcernError(problem=f"Only {said}.", remedy=remedy)
    return said


async def _database(settings: Settings) -> str:
    url = parse_url(settings.url_of_database)
    file = file_of(url)
    running = await asyncio.to_thread(running_bot, settings)
    if file is not None:
        require_not_half_restored(file)
        require_database_file(file)
    schema = await asyncio.to_thread(read_schema, url)
    if file is not None and (network := network_file_system(file.parent)) is not None:
        problem = f"{file} lies on a network file system ({network}), where SQLite can lose what it wrote."
        raise StartConcernError(problem=problem, remedy="Set ATELIER_DATABASE_URL to a file on a disk of this machine.")
    if running:
        page = format_address(settings.http_host, settings.health_port)
        return f"in use by a bot that runs ({running}); {page}/healthz says how it is"
    if schema is None:
        return "there is none yet; the first start creates it"
    if schema != newest_revision():
        require_room(file)
        return f"sound; the next start upgrades its tables from {schema} to {newest_revision()}, after a copy of it"
    return "sound, and its tables are up to date"


def running_bot(settings: Settings) -> str | None:
    """Return who runs with this data folder and this database, None if no process does.

    Raise `ConfigurationError` if only one of them is in use, or each by another program.
    """
    url = parse_url(settings.url_of_database)
    folder, database = FolderLock(settings.data_dir).holder(), find_holder(url)
    if folder is not None and database is not None and _is_same(folder, database):
        return _process(folder)
    if database is not None:
        raise in_use(describe(url), database, "ATELIER_DATABASE_URL to another database")
    if folder is not None:
        raise in_use(f"the data folder {settings.data_dir}", folder, "ATELIER_DATA_DIR to another folder")
    return None


def _process(holder: str) -> str:
    return holder.partition(", with ")[0]


def _is_same(one: str, other: str) -> bool:
    """Return whether both name one process: a server keeps the beginning of its name, and a time of its own."""
    names = (each.partition(", since ")[0] for each in (one, other))
    return len({name[:NAME_KEPT] for name in names}) == 1


async def _stored(settings: Settings) -> str:
    url = parse_url(settings.url_of_database)
    try:
        schema = await asyncio.to_thread(read_schema, url)
    except ConfigurationError:
        schema = None
    if schema != newest_revision():
        return "looked at once the database is there, sound, and up to date"
    unusable = await asyncio.to_thread(find_unusable, url)
    if not unusable:
        return "every stored value can be used"
    shown = "; ".join(f"{each.row} ({each.problem})" for each in unusable[:_MOST_SHOWN])
    more = f"; and {len(unusable) - _MOST_SHOWN} more" if len(unusable) > _MOST_SHOWN else ""
    raise StartConcernError(
        problem=f"{len(unusable)} cannot be used and are set aside: {shown}{more}.",
        remedy="Nothing else is affected. Update Atelier if a newer version wrote them, or choose the setting again.",
    )


async def _models(settings: Settings) -> str:
    catalog = await asyncio.to_thread(Catalog.open, settings.model, settings.folder_of_models)
    failed = FailedLoads(settings.engine.failed_loads).of(catalog.loadable)
    said = "; ".join(_describe(model, settings) for model in catalog.models if model.name not in failed)
    if bad := {**catalog.left_out, **failed}:
        problem = "; ".join(f"{name} cannot be used: {why.rstrip('.')}" for name, why in bad.items())
        is_fatal = catalog.default.name in failed
        remedy = f"The others can: {said}." if said else ""
        raise (ConfigurationError if is_fatal else StartConcernError)(problem=f"{problem}.", remedy=remedy)
    return said


def _describe(model: Model, settings: Settings) -> str:
    is_judged = is_vetted(model, checks_safety=settings.safety_checker, is_from_upload=False)
    where = "any channel" if is_judged else "age-restricted channels ONLY"
    return f"{model.name} ({model.family}, {model.defaults.native_px} px) for {where}"


async def _credentials(settings: Settings) -> str:
    key = settings.c2pa_key.get_secret_value() if settings.c2pa_key else None
    credentials = load_credentials(settings.c2pa_certificates, key, settings.c2pa_algorithm)
    if credentials is None:
        return "none are set, and pictures are not signed"
    await asyncio.to_thread(credentials.check)
    return "a trial picture was signed, and its signature holds"


async def _port(settings: Settings) -> str:
    is_free = FolderLock(settings.data_dir).holder() is None
    return describe_pages(settings.http_host, settings.health_port, is_free=is_free)


async def _hardware(settings: Settings) -> str:
    found = await describe_hardware(settings)
    if found.unused_card:
        problem = f"There is a graphics card ({found.unused_card}), and torch is installed without support for it."
        raise StartConcernError(problem=problem, remedy=f"Install the build for it: {INSTALL}. Now: {found.text}.")
    return found.text


async def _fleet(settings: Settings) -> str:
    if settings.fleet is None:
        return "none is set"
    try:
        status = fleet_table.describe(await fleet.ask(settings, "status"), find_version())
    except FleetOutOfReachError as wrong:
        raise StartConcernError(problem=str(wrong), remedy="The bot starts without it, and tries again.") from None
    table = "\n".join(("", *status.lines))
    if status.concerns:
        raise StartConcernError(problem=table, remedy="")
    return table


async def _cloud(settings: Settings) -> str:
    found = await cloud_check.look(settings)
    text = "".join(f"\n  {each.text}" for each in found) or "none is set"
    if not all(each.is_well for each in found):
        raise StartConcernError(problem=f"{text}\n ", remedy="The bot starts, and paints all pictures here meanwhile.")
    return text


async def _settings(settings: Settings) -> str:
    if unused := find_unused(settings):
        raise StartConcernError(problem=" ".join(unused), remedy="Set that, or leave these out.")
    return "all that are set have an effect"


async def _discord(settings: Settings) -> str:
    if settings.discord_token is None:
        remedy = f"{format_command('setup')} asks for it, or try {format_command('sandbox')} without one."
        raise ConfigurationError(problem="There is no Discord token.", remedy=remedy)
    try:
        found = await discord_api.fetch_application(settings, settings.discord_token.get_secret_value())
    except discord_api.DiscordUnreachableError as wrong:
        raise StartConcernError(
            problem=wrong.details["problem"], remedy=f"{wrong.details['remedy']} The bot tries again."
        ) from None
    way, link = discord_api.describe_way(settings), discord_api.build_invite_link(found.id)
    said = f"the token is good{way}: {found.name}. Invite it: {link} Then type /imagine."
    if settings.allow_user_installs:
        said += f" People add it to their account: {discord_api.build_install_link(found.id)}"
    return said


CHECKS = [
    Check("Settings", _settings),
    Check("Data folder", _data_folder),
    Check("Database", _database),
    Check("Stored values", _stored, is_for_start=False),  # each is logged when it is read
    Check("Models", _models),
    Check("Content credentials", _credentials),
    Check("Health page", _port),
    Check("API", _api),
    Check("Discord", _discord),
    Check("Fleet", _fleet, is_for_start=False),  # it may be up later than the bot
    Check("Cloud worker", _cloud, is_for_start=False),  # its settings are checked where it is made
    Check("Graphics card", _hardware, is_for_start=False),  # the worker's start says the same of it
]
AT_START = [check for check in CHECKS if check.is_for_start]
