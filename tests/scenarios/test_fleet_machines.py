"""A bot on Discord with a fleet, by the commands a person types: a head, two machines that join it, and one that dies.

All of it on this machine, each in processes of its own, with the built-in model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

pytest.importorskip("ray", reason="the extra `fleet` is not installed")

from discord_sandbox import Interaction, Sandbox
from tests.generation.fleet.ray_cluster import LEAN
from tests.patience import PATIENCE_S, until
from tests.scenarios.bot_harness import People, until_done, until_shown

pytestmark = pytest.mark.long
ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a red circle on a blue background"
STARTED = "Ray runtime started"
_CARDS = 3  # the bot's own, and one of each machine


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Machines:
    """What runs where: each has a data folder, and the output of its process is kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.head = f"127.0.0.1:{find_port()}"
        self.token_file = folder / "desk" / "fleet-token"
        self.health_url = f"http://127.0.0.1:{find_port()}/healthz"
        self.started: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, name: str, *words: str, home: str = "", **settings: str) -> asyncio.subprocess.Process:
        """Run a command of the program on a machine of that name, or of the name `home`."""
        with self.find_log(name).open("ab") as log:
            self.started[name] = process = await asyncio.create_subprocess_exec(
                *(sys.executable, str(ROOT / "bot.py"), *words),
                env=self._build_environment(home or name) | settings,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        return process

    async def run(self, *words: str) -> tuple[int | None, str]:
        """Run a command beside the bot to its end; return its status and what it said."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "bot.py"), *words),
            env=self._build_environment("desk"),
            cwd=self._folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode, said.decode()

    def find_log(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    async def until_said(self, name: str, words: str) -> None:
        """Wait until the process of a machine says that."""
        await until(lambda: self.require_up(name) and words in self.find_log(name).read_text())

    def require_up(self, name: str) -> bool:
        assert self.started[name].returncode is None, self.find_log(name).read_text()
        return True

    async def fetch_workers(self) -> dict[str, dict[str, Any]]:
        """Return what the health page says of each worker."""
        async with aiohttp.ClientSession() as session, session.get(self.health_url) as answer:
            return {each["name"]: each for each in (await answer.json())["workers"]}

    async def until_workers(self, says: Callable[[dict[str, dict[str, Any]]], object]) -> dict[str, dict[str, Any]]:
        """Wait until that holds of the workers on the health page; return them."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError):
                    if says(workers := await self.fetch_workers()):
                        return workers
                await asyncio.sleep(0.1)

    def kill(self, name: str) -> None:
        """End a machine: its first process, and all below it, at once."""
        first = psutil.Process(self.started[name].pid)
        for each in (first, *first.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                each.kill()

    async def end(self) -> None:
        for name, process in reversed(self.started.items()):
            if process.returncode is None:
                self.kill(name)
            await process.wait()

    def _build_environment(self, name: str) -> dict[str, str]:
        home = self._folder / name
        home.mkdir(exist_ok=True)
        return os.environ | {
            "ATELIER_DATA_DIR": str(home),
            "ATELIER_HOME": str(home),
            "ATELIER_FLEET": self.head,
            "ATELIER_FLEET_TOKEN_FILE": str(self.token_file) if self.token_file.exists() else "",
            "ATELIER_HEALTH_PORT": self.health_url.split(":")[2].split("/")[0],
            "ATELIER_NUM_THREADS": "1",
            "PYTHONPATH": str(LEAN),
        }


@asynccontextmanager
async def three_machines(folder: Path, discord: Sandbox, owner_id: int) -> AsyncIterator[Machines]:
    """Start a head and a bot on `desk`, and have `attic` and `den` join, as docs/fleet.md says."""
    machines = Machines(folder)
    try:
        await machines.start("head", "fleet", "head", "--on", machines.head, "--behind-firewall", home="desk")
        await machines.until_said("head", STARTED)
        for name in ("attic", "den"):
            token = ("--token-file", str(machines.token_file))
            await machines.start(name, "fleet", "join", machines.head, *token, "--behind-firewall")
            await machines.until_said(name, STARTED)
        settings = {"ATELIER_DISCORD_URL": discord.url, "ATELIER_DISCORD_TOKEN": discord.token}
        await machines.start("desk", "serve", ATELIER_OWNER_IDS=str(owner_id), **settings)
        await discord.wait_for(lambda: machines.require_up("desk") and discord.gateway.is_connected)
        yield machines
    finally:
        await machines.end()


async def ask(people: People, count: int) -> list[Interaction]:
    return [await people.ada.slash("imagine", prompt=PROMPT, seed=7 + n, steps=10, count=4) for n in range(count)]


async def require_pictures(discord: Sandbox, asked: list[Interaction]) -> None:
    for each in asked:
        assert len((await until_done(discord, each)).attachments) == 4


async def test_machines_join_paint_drain_and_die_and_every_picture_comes(
    discord: Sandbox, people: People, tmp_path: Path
) -> None:
    async with three_machines(tmp_path, discord, people.mo.user.id) as machines:
        workers = await machines.until_workers(
            lambda found: sum(bool(each["slots"]) for each in found.values()) == _CARDS
        )
        members = sorted(name for name, each in workers.items() if each["device"].startswith("processor of"))
        assert len(workers) == _CARDS and len(members) == 2

        asked = await ask(people, 3)
        await machines.until_workers(lambda found: all(found[name]["running"] for name in members))
        shown = await people.mo.forging.slash("operator workers")
        listed = (await until_shown(discord, shown)).text.replace("\\", "")
        assert all(f"**{name}**" in listed for name in members), listed
        await require_pictures(discord, asked)
        paces = [each["steps_a_minute"] for each in (await machines.fetch_workers()).values()]
        assert all(paces), "every one's speed is known, by its own clock"

        status, said = await machines.run("fleet", "status")
        assert status == 0 and all(f"{name} " in said for name in members) and said.count("up, ") == 2, said
        assert len({line.split("  A ")[1].split()[0] for line in said.splitlines() if "  A " in line}) == 1, said

        drained, other = members
        status, said = await machines.run("fleet", "drain", drained)
        assert status == 0 and f"{drained} takes nothing new" in said
        await machines.until_workers(lambda found: drained not in found)
        assert "drained" in (await machines.run("fleet", "status"))[1]

        asked = await ask(people, 3)
        await machines.until_workers(lambda found: found[other]["running"])
        for name in ("attic", "den"):  # which of them is the drained one, Ray decides
            machines.kill(name)
        await require_pictures(discord, asked)
        workers = await machines.until_workers(lambda found: other not in found or not found[other]["slots"])
        assert any(each["slots"] for each in workers.values()), "the bot's own card goes on"
        await require_pictures(discord, await ask(people, 1))

        machines.started["desk"].terminate()
        assert await machines.started["desk"].wait() == 0
    said = machines.find_log("desk").read_text()
    assert machines.token_file.read_text().strip() not in said and PROMPT not in said
