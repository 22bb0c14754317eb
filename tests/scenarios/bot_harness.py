"""The bot as a thing to start, stop and kill, and the people who use it. Every part is the real one.

Only the picture-making is light (an engine without a model, behind the real worker), unless a scenario asks for the
built-in model.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import discord
import psutil

from cli.serve import Parts, build_services
from cogs.bot import AtelierBot, build_bot
from cogs.delivery._tracker import DeliveryTracker
from cogs.endpoints import set_base_url
from config import Settings
from db.engine import Database
from db.stores.audit_log import Entry
from db.stores.jobs import JobStore
from db.stores.operator import OperatorStore
from discord_sandbox import Channel, Guild, Interaction, Message, Permission, Sandbox, ScriptedUser
from generation.images.c2pa import Credentials
from generation.images.store import ImageFiles
from generation.jobs.job import Job
from generation.models.catalog import PAINTBOX, Catalog, Model
from generation.models.failed_loads import FailedLoads
from generation.policy.guild_settings import GuildSettings
from generation.retry import Problems
from generation.rules.screening import Screener
from generation.scheduling.fair_queue import FairQueue
from generation.scheduling.model_updates import CatalogWatch, follow_models
from generation.scheduling.service import GenerationService
from generation.scheduling.worker_pool import Member, WorkerPool
from generation.workers.child_process import spawn
from generation.workers.engine_settings import CheckerThresholds, EngineSettings
from generation.workers.frames import DEFAULT_ENGINE, WorkerConfig
from generation.workers.local import LocalWorker
from tests.forked_engines import fork, list_children
from tests.patience import PATIENCE_S, until
from tests.scenarios.steady_engine import ENGINE
from tests.tally import Tally

ROOT = Path(__file__).resolve().parents[2]
SHOWS_ANYTHING = CheckerThresholds(open_nsfw=1.0, hentai=1.0, porn=1.0, sexy=1.0)
"""Where seeds are drawn: a sketch of two steps may look like anything, and nothing is kept back."""
ROOMS = ("cogs", "generation", "db")


@dataclass
class People:
    """A server with two channels, a member, another one, and a moderator."""

    discord: Sandbox
    guild: Guild
    general: Channel
    ada: ScriptedUser
    bo: ScriptedUser
    mo: ScriptedUser

    @classmethod
    def settle(cls, discord: Sandbox) -> People:
        guild = discord.add_guild("Harbour")
        general = guild.add_channel("general")

        def come(name: str, permissions: int = 0) -> ScriptedUser:
            return discord.act_as(guild.add_member(name, permissions=permissions), general)

        return cls(discord, guild, general, come("ada"), come("bo"), come("mo", int(Permission.MANAGE_MESSAGES)))


@asynccontextmanager
async def judged(tally: Tally) -> AsyncIterator[Sandbox]:
    """Discord on loopback. Tests in which anybody broke its rules fail."""
    async with Sandbox(bot_name="Atelier") as discord:
        yield discord
    broken = [str(violation) for violation in discord.violations]
    tally.num_servers += 1
    tally.judged += discord.num_validated
    tally.violations += broken
    assert not broken, "\n".join(broken)


class LivingBot:
    """Everything `bot.py serve` joins, in this process. `start` again after `stop` or `crash`: the data stays."""

    def __init__(
        self,
        discord: Sandbox,
        data_dir: Path,
        blank_database: Path,
        *,
        engine: str = ENGINE,
        num_slots: int = 4,
        models: tuple[Model, ...] = (),
        credentials: Credentials | None = None,
        models_dir: Path | None = None,
        owner_ids: Collection[int] = (),
        checks_safety: bool = True,
        thresholds: CheckerThresholds = CheckerThresholds(),  # noqa: B008 - frozen
        **chosen: Any,
    ) -> None:
        """`checks_safety`: as ATELIER_SAFETY_CHECKER; `thresholds`: of the checkers of all models; `chosen`: further
        `Settings`."""
        self.discord = discord
        self.data_dir = data_dir
        self.num_slots = num_slots
        self._models, self._credentials = models, credentials
        self._engine = engine
        self._models_dir, self._checks_safety = models_dir, checks_safety
        self._thresholds = thresholds
        owners = ",".join(map(str, owner_ids))
        self.settings = Settings(**{"data_dir": data_dir, "allow_dms": True, "owner_ids": owners} | chosen)
        self.failed_loads = self.settings.engine.failed_loads
        self._tasks: list[asyncio.Task[Any]] = []
        self.is_running: bool | None = None
        """None before its first start. False as well where a stop or a start failed: a test that waits for this bot
        would wait for nothing."""
        self.clock_ahead = timedelta(0)
        """How wrong the clock of this machine is."""
        if not (data_dir / "atelier.db").exists():
            shutil.copy(blank_database, data_dir / "atelier.db")

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.discord.clock.now(), UTC) + self.clock_ahead

    async def start(self) -> None:
        """Up and connected when this returns; the worker may still be on its way."""
        self.is_running = False
        self.database = await Database.open(f"sqlite:///{self.data_dir / 'atelier.db'}", self.data_dir)
        self.jobs = JobStore(self.database, clock=self.now)
        watch = self._watch_models()
        catalog = Catalog(self._models) if self._models else watch.open()
        settings = EngineSettings(
            num_slots=self.num_slots, num_threads=2, thresholds=self._thresholds, failed_loads=self.failed_loads
        )
        config = WorkerConfig(models=catalog.models, settings=settings, engine=self._engine)
        start = fork if self._engine == DEFAULT_ENGINE else spawn
        self.worker = LocalWorker(config, first_pause_s=0.05, spawn=start)
        self.generation = GenerationService(
            pool=WorkerPool([Member(name="one", worker=self.worker)]),
            store=self.jobs,
            files=ImageFiles(self.data_dir / "pictures"),
            catalog=catalog,
            queue=FairQueue(max_per_user=60),
            clock=self.now,
            check_safety=self._checks_safety,
        )
        self.generation.failed_loads = FailedLoads(self.failed_loads)
        self.screener = Screener()
        self.generation.is_closed = await OperatorStore(self.database).is_closed()
        self.generation.pause(await OperatorStore(self.database).is_paused())
        self.parts = Parts(
            generation=self.generation,
            jobs=self.jobs,
            database=self.database,
            files=self.generation.files,
            screener=self.screener,
            problems=Problems(),
        )
        await self._connect()
        self._tasks.append(asyncio.create_task(self.generation.run(), name="generation"))
        if self._models_dir is not None:
            following = follow_models(self.generation, watch, self.parts.problems, every_s=0.02)
            self._tasks.append(asyncio.create_task(following, name="models"))
        self.is_running = True

    def _watch_models(self) -> CatalogWatch:
        def open_catalog() -> Catalog:
            return Catalog.open(PAINTBOX, self._models_dir)

        return CatalogWatch(open_catalog, models_dir=self._models_dir or self.data_dir / "models")

    @property
    def tracker(self) -> DeliveryTracker:
        assert isinstance(self.client.tracker, DeliveryTracker)
        return self.client.tracker

    async def choose(self, settings: GuildSettings) -> None:
        """Put these settings in the place of what the guild had chosen."""
        await self.services.guild_policy.change_settings(
            settings.guild_id, lambda _old: settings, Entry(1, "for a test")
        )

    async def hold_painting(self) -> None:
        """Freeze the worker process: what is asked for is accepted and waits."""
        await until(lambda: self.worker.pid)
        os.kill(self.worker.pid, signal.SIGSTOP)

    def go_on_painting(self) -> None:
        assert self.worker.pid is not None
        os.kill(self.worker.pid, signal.SIGCONT)

    async def _connect(self) -> None:
        set_base_url(self.discord.url)
        passing = self.discord.clock.now  # where Discord's clock jumps ahead, the time has passed here, too
        services = build_services(self.parts, self.settings, clock=self.now, monotonic=passing)
        self.services = replace(services, credentials=self._credentials)
        self.deliveries = services.deliveries
        self.client: AtelierBot = build_bot(self.services, guild_ready_timeout_s=0.02)
        connecting = asyncio.create_task(self.client.start(self.discord.token), name="client")
        self._tasks.append(connecting)
        ready = asyncio.create_task(self.client.wait_until_ready())
        await asyncio.wait((connecting, ready), return_when=asyncio.FIRST_COMPLETED, timeout=PATIENCE_S)
        if connecting.done():
            connecting.result()
        assert ready.done(), "the bot did not get ready"

    async def reconnect(self) -> None:
        """A new client, as the supervisor builds one; everything behind it has gone on."""
        await self._connect()

    async def stop(self) -> None:
        """As on SIGTERM: what is under way ends."""
        self.is_running = False
        await self.client.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._close()

    async def crash(self) -> None:
        """Everything is cut off where it stands; only the database file and the pictures are left."""
        self.is_running = False
        if self.worker.pid is not None:
            os.kill(self.worker.pid, signal.SIGKILL)
        # Also discord.py's: a command half done must not go on, or even answer. What is in the hands of the database
        # or of the worker's supervisor is theirs.
        cut_off = [task for task in tasks_of_the_bot() if not task.get_name().startswith(("database", "worker"))]
        for task in cut_off:
            task.cancel()
        await asyncio.gather(*cut_off, return_exceptions=True)
        await self._close()

    async def _close(self) -> None:
        self._tasks.clear()
        await self.client.close()
        await self.worker.close()
        self.screener.close()
        await self.database.close()
        await asyncio.sleep(0)
        if ending := tasks_of_the_bot():  # on a busy machine an answer is seen before its task has ended
            await asyncio.wait(ending, timeout=5)
        assert_nothing_left(self.data_dir)

    async def job_of(self, interaction: Interaction) -> Job:
        """The job an interaction became, as the database knows it."""
        message = interaction.original_message
        assert message is not None
        return await self.jobs.fetch_job(job_id_in(message))

    async def ended(self, interaction: Interaction) -> Job:
        """Wait until the job has ended."""
        await until_shown(self.discord, interaction)
        return await self.generation.finished((await self.job_of(interaction)).id)


def tasks_of_the_bot() -> list[asyncio.Task[Any]]:
    """Tasks that run its code, or discord.py's for it; not those of the sandbox and of the test."""
    mine = tuple(str(folder) for folder in (*(ROOT / room for room in ROOMS), Path(discord.__file__).parent))
    codes = {task: getattr(task.get_coro(), "cr_code", None) for task in asyncio.all_tasks()}
    return [task for task, code in codes.items() if code is not None and code.co_filename.startswith(mine)]


def assert_nothing_left(folder: Path) -> None:
    """No task goes on, no child process lives, no file below the folder is open."""
    tasks = [f"{task.get_name()}: {task.get_coro()}" for task in tasks_of_the_bot()]
    gc.collect()  # what a test before left in a circle ends its processes when it goes
    if any(list_children()):
        gc.unfreeze()  # one in another file may have left it
        gc.collect()
    gives_up_at = time.monotonic() + 5
    # On a busy machine a process that was killed is there for a moment, and so is a file that a thread was writing.
    while (any(list_children()) or _list_open_files(folder)) and time.monotonic() < gives_up_at:
        time.sleep(0.1)
    left = [*tasks, *map(_describe, list_children()), *_list_open_files(folder)]
    assert not left, left


def _list_open_files(folder: Path) -> list[str]:
    return [file.path for file in psutil.Process().open_files() if file.path.startswith(str(folder))]


def _describe(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        age_s = time.time() - process.create_time()
        return f"process of {age_s:.0f} s, {process.status()}: {' '.join(process.cmdline())}"
    return f"process {process.pid}, ended just now"


def job_id_in(message: Message) -> str:
    """The job a message of ours is about, read from its buttons."""
    ids = [button["custom_id"].split(":")[2] for button in message.buttons if "custom_id" in button]
    assert ids, f"no button in {message.text!r}"
    return str(ids[0])


def button_of(message: Message, action: str, index: int | None = None) -> str:
    """The `custom_id` of a message's button for an action (and picture)."""
    suffix = "" if index is None else f":{index}"
    ids = [button["custom_id"] for button in message.buttons]
    found = [each for each in ids if each.split(":")[1] == action and each.endswith(suffix)]
    assert found, f"no button {action} {index} among {ids}"
    return str(found[0])


async def press(who: ScriptedUser, message: Message, action: str, index: int | None = None) -> Interaction:
    """Press an action where it stands: among the buttons, or in a menu."""
    suffix = "" if index is None else f":{index}"
    for part in message.list_components():
        for each in (part, *part.get("options", ())):
            custom_id = each.get("value", each.get("custom_id", ""))
            if custom_id.startswith(f"atelier:{action}:") and custom_id.endswith(suffix):
                if each is part:
                    return await who.click(message, custom_id)
                return await who.select(message, part["custom_id"], [custom_id])
    raise AssertionError(f"no {action} {index} under {message.text!r}")


async def until_shown(discord: Sandbox, interaction: Interaction) -> Message:
    """The message once it says more than “thinking”."""
    await discord.wait_for(lambda: (message := interaction.original_message) and not message.is_loading)
    return interaction.original_message


async def until_done(discord: Sandbox, interaction: Interaction, *, timeout_s: float | None = None) -> Message:
    """The message of a job when it has ended: it has no Cancel any more."""

    def look() -> Message | None:
        message = interaction.original_message
        return message if message is not None and not message.is_loading and not is_going(message) else None

    found = await discord.wait_for(look, timeout_s=timeout_s)
    assert found is not None
    return found


def is_going(message: Message) -> bool:
    """Whether it is still waiting or being painted."""
    return any(":cancel:" in button.get("custom_id", "") for button in message.buttons)


def delete_by_hand(discord: Sandbox, message: Message) -> None:
    """Somebody with the right to do so deletes a message."""
    message.channel.drop(message)
    discord.world.publish("message_delete", guild=message.channel.guild, channel=message.channel, message=message)
