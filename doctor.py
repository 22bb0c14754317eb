"""`bot.py doctor`: look at everything the bot needs, without starting it, and say what to do."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from config import Settings
from db.engine import Database, parse_url
from db.lock import FolderInUse
from db.stored_check import find_unusable
from generation.catalog import Catalog, Model
from generation.engine.failed_loads import FailedLoads
from generation.errors import Misconfigured
from generation.vetting import is_vetted

_LEAST_FREE_BYTES = 2 * 2**30
_MOST_SHOWN = 10
_DISCORD_API = "https://discord.com/api/v10"
_TORCH_PROBE = """
import torch
if torch.cuda.is_available():
    free, total = torch.cuda.mem_get_info()
    print(f"{torch.cuda.get_device_name(0)}, {free / 2**30:.1f} of {total / 2**30:.1f} GiB free")
elif torch.backends.mps.is_available():
    print("Apple GPU")
else:
    print(f"no GPU; the CPU works but is slow ({torch.get_num_threads()} threads)")
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    is_well: bool
    text: str


Check = Callable[[Settings], Awaitable[str]]


async def examine(settings: Settings) -> list[Finding]:
    """Every check, in the order in which trouble is best mended. A check raises `Misconfigured` for what is wrong."""
    return [await _finding(subject, check, settings) for subject, check in _CHECKS.items()]


async def _finding(subject: str, check: Check, settings: Settings) -> Finding:
    try:
        return Finding(subject, True, await check(settings))
    except Misconfigured as wrong:
        return Finding(subject, False, str(wrong))


async def _disk(settings: Settings) -> str:
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data_dir).free
    if free < _LEAST_FREE_BYTES:
        problem = f"only {free / 2**30:.1f} GiB are free in {settings.data_dir}."
        raise Misconfigured(problem=problem, remedy="Make room, or set ATELIER_DATA_DIR to another disk.")
    return f"{free / 2**30:.0f} GiB free in {settings.data_dir}"


async def _database(settings: Settings) -> str:
    try:
        async with await Database.open(settings.url_of_database, settings.data_dir):
            return "opens, and its tables are up to date"
    except FolderInUse:
        return f"in use by a bot that runs (http://127.0.0.1:{settings.health_port}/healthz says how it is)"


async def _stored(settings: Settings) -> str:
    unusable = await asyncio.to_thread(find_unusable, parse_url(settings.url_of_database))
    if not unusable:
        return "every stored value can be used"
    shown = "; ".join(f"{each.row} ({each.problem})" for each in unusable[:_MOST_SHOWN])
    more = f"; and {len(unusable) - _MOST_SHOWN} more" if len(unusable) > _MOST_SHOWN else ""
    raise Misconfigured(
        problem=f"{len(unusable)} cannot be used and are set aside: {shown}{more}.",
        remedy="Nothing else is affected. Update Atelier if a newer version wrote them, or choose the setting again.",
    )


async def _models(settings: Settings) -> str:
    catalog = await asyncio.to_thread(Catalog.open, settings.model, settings.folder_of_models)
    failed = FailedLoads(settings.engine.failed_loads).of(catalog.models)
    said = "; ".join(_describe(model, settings) for model in catalog.models if model.name not in failed)
    if bad := {**catalog.left_out, **failed}:
        problem = "; ".join(f"{name} cannot be used: {why.rstrip('.')}" for name, why in bad.items())
        raise Misconfigured(problem=f"{problem}.", remedy=f"The others can: {said}." if said else "")
    return said


def _describe(model: Model, settings: Settings) -> str:
    is_judged = is_vetted(model, checks_safety=settings.safety_checker, is_from_upload=False)
    where = "any channel" if is_judged else "age-restricted channels ONLY"
    return f"{model.name} ({model.family}, {model.defaults.native_px} px) for {where}"


async def _accelerator(settings: Settings) -> str:
    probe = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _TORCH_PROBE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, error = await probe.communicate()
    if probe.returncode:
        last_line = error.decode(errors="replace").strip().rsplit("\n", 1)[-1]
        raise Misconfigured(problem=f"torch does not load: {last_line}.", remedy="Run `make setup` again.")
    return out.decode().strip()


async def _discord(settings: Settings) -> str:
    if settings.discord_token is None:
        raise Misconfigured(
            problem="no token is set.", remedy="Put ATELIER_DISCORD_TOKEN=... into .env (see the README)."
        )
    base = f"{settings.discord_url}/api/v10" if settings.discord_url else _DISCORD_API
    headers = {"Authorization": f"Bot {settings.discord_token.get_secret_value()}"}
    try:
        timeout = aiohttp.ClientTimeout(total=15)
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(f"{base}/users/@me", headers=headers) as answer,
        ):
            if answer.status == 401:
                remedy = "Copy it again from the “Bot” page of your application."
                raise Misconfigured(problem="Discord refuses the token.", remedy=remedy)
            answer.raise_for_status()
            return f"the token is good: {(await answer.json())['username']}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        problem = f"Discord cannot be reached ({type(error).__name__})."
        raise Misconfigured(problem=problem, remedy="Check the network of this machine.") from None


_CHECKS: dict[str, Check] = {
    "Disk": _disk,
    "Database": _database,
    "Stored values": _stored,
    "Models": _models,
    "Graphics card": _accelerator,
    "Discord": _discord,
}
