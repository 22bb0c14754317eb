"""The programs of `side_by_side`: each is started, asked for pictures, and ended."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bench._load import settle
from bench._side_work import SAMPLER, Plan, Request, Served
from bench.startup import count_cpu_s, has_picture, running_bot, wait_until_well
from discord_sandbox import Sandbox, ScriptedUser
from generation.fleet.version import find_version

ROOT = Path(__file__).resolve().parents[1]
PATIENCE_S = 300.0
_ACK_DEADLINE_S = 60.0
"""Longer than Discord's 3 s: a slow acknowledgement is a figure here, not an error."""
_IDLE_S, _IDLE_SHARE = 2.0, 0.05


@dataclass(frozen=True, slots=True)
class Running:
    """A program that is ready; its processes are `pid` and its children."""

    pid: int
    serve: Callable[[Sequence[Request]], Awaitable[Served]]


@dataclass(frozen=True, slots=True)
class Program:
    """One row of the table."""

    title: str
    packages: tuple[str, ...]
    """Whose versions are named."""
    start: Callable[[Plan], AbstractAsyncContextManager[Running]]
    needs: str = ""
    """A module that need not be installed."""
    install: str = ""

    @property
    def missing(self) -> str:
        """Return how to install what it needs; empty if that is installed."""
        return f"not installed: {self.install}" if self.needs and find_spec(self.needs) is None else ""

    @property
    def versions(self) -> dict[str, str]:
        return {name: _find_version(name) for name in self.packages}


@asynccontextmanager
async def _start_script(plan: Plan, *, mode: str) -> AsyncIterator[Running]:
    command = [sys.executable, "-m", "bench._script", mode, plan.dtype]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, cwd=ROOT)
    assert process.stdin is not None and process.stdout is not None
    writer, reader = process.stdin, process.stdout

    async def read() -> str:
        if not (line := await asyncio.wait_for(reader.readline(), PATIENCE_S)):
            raise RuntimeError(f"{' '.join(command[1:])} ended with status {await process.wait()}")
        return line.decode()

    async def serve(requests: Sequence[Request]) -> Served:
        writer.write(json.dumps([asdict(each) for each in requests]).encode() + b"\n")
        return Served(json.loads(await read()))

    try:
        while await read() != "ready\n":
            pass
        yield Running(process.pid, serve)
    finally:
        writer.close()
        await process.wait()


@asynccontextmanager
async def _start_fifo(plan: Plan) -> AsyncIterator[Running]:
    async with Sandbox(journal_limit=1000, openapi="", ack_deadline_s=_ACK_DEADLINE_S) as discord:
        people = settle(discord, guilds=plan.servers, members=plan.members)
        environment = {
            "ATELIER_DISCORD_URL": discord.url,
            "ATELIER_DISCORD_TOKEN": discord.token,
            "ATELIER_DTYPE": plan.dtype,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench._fifo_bot", env=os.environ | environment, cwd=ROOT
        )
        try:
            await discord.wait_until_ready(timeout_s=PATIENCE_S)
            yield Running(process.pid, partial(_ask_all, discord, people, plan))
        finally:
            process.terminate()
            await process.wait()


@asynccontextmanager
async def _start_atelier(plan: Plan, *, backend: str) -> AsyncIterator[Running]:
    async with Sandbox(bot_name="Atelier", journal_limit=1000, openapi="", ack_deadline_s=_ACK_DEADLINE_S) as discord:
        people = settle(discord, guilds=plan.servers, members=plan.members)
        settings = {"ATELIER_DTYPE": plan.dtype, "ATELIER_CPU_BACKEND": backend}
        async with running_bot(discord, settings) as (process, health_url):
            await discord.wait_until_ready(timeout_s=PATIENCE_S)
            await wait_until_well(health_url)
            serve = partial(_ask_all, discord, people, plan)
            await serve(plan.make_crowd()[:2])
            await _wait_until_idle(process.pid)
            yield Running(process.pid, serve)


async def _ask_all(discord: Sandbox, people: Sequence[ScriptedUser], plan: Plan, requests: Sequence[Request]) -> Served:
    answers = await asyncio.gather(
        *(_ask(discord, people[each.server * plan.members + each.member], each) for each in requests)
    )
    return Served([wait_s for wait_s, _ in answers], [ack_ms for _, ack_ms in answers])


async def _ask(discord: Sandbox, person: ScriptedUser, request: Request) -> tuple[float, float]:
    """Ask for a picture; return the seconds until its file was in the channel, and those of the acknowledgement in
    milliseconds."""
    loop = asyncio.get_running_loop()
    since_s = loop.time()
    interaction = await person.slash(
        "imagine",
        prompt=request.prompt,
        size=f"{request.side_px}x{request.side_px}",
        seed=request.seed,
        steps=request.steps,
        guidance=request.guidance,
        sampler=SAMPLER,
    )
    if interaction.ack_ms is None:
        raise RuntimeError(f"/imagine was not acknowledged within {_ACK_DEADLINE_S:.0f} s")
    await discord.wait_for(lambda: has_picture(interaction.original_message), timeout_s=PATIENCE_S)
    return loop.time() - since_s, interaction.ack_ms


async def _wait_until_idle(pid: int) -> None:
    """Wait until the bot has measured what its engine measures after a start: the others' turns must not see it."""
    async with asyncio.timeout(PATIENCE_S):
        spent_s, is_idle = sum(count_cpu_s(pid)), False
        while not is_idle:
            await asyncio.sleep(_IDLE_S)
            before_s, spent_s = spent_s, sum(count_cpu_s(pid))
            is_idle = spent_s - before_s < _IDLE_SHARE * _IDLE_S


def _find_version(package: str) -> str:
    if package == "atelier-bot":
        found = find_version()
        return f"{found.program} (code {found.code})"
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


_STOCK = ("diffusers", "transformers", "torch")
PROGRAMS = {
    "script": Program("diffusers, one after another", _STOCK, partial(_start_script, mode="stock")),
    "batched": Program("diffusers, equal requests together", _STOCK, partial(_start_script, mode="batched")),
    "fifo": Program("a plain FIFO bot", ("discord.py", *_STOCK), _start_fifo),
    "genai": Program(
        "OpenVINO GenAI",
        ("openvino-genai", "openvino"),
        partial(_start_script, mode="genai"),
        needs="openvino_genai",
        install="pip install openvino-genai",
    ),
    "atelier": Program("Atelier", ("atelier-bot", "discord.py", *_STOCK), partial(_start_atelier, backend="torch")),
    "atelier-openvino": Program(
        "Atelier, with OpenVINO",
        ("atelier-bot", "discord.py", "openvino", *_STOCK),
        partial(_start_atelier, backend="openvino"),
        needs="openvino",
        install='pip install "atelier-bot[openvino]"',
    ),
}
"""By the name that `--programs` takes. A peer is compared with each Atelier."""
