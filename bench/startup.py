"""Measures the time to the first picture and the memory of the bot, beside a plain diffusers script.

The whole product is started as a stranger starts it: a local Discord, the bot process, its worker. A member asks for a
picture as soon as Discord shows the commands; the time runs until the finished file is in the channel. Then several
members paint at once while the lag of the bot's event loop is taken from its health page. The peer is the shortest
script people write with diffusers: load the same model, paint the same picture; it has no Discord, queue or database.

Keys: `ready_s` start to commands registered and model loaded, `first_picture_s` start to picture in the channel,
`warm_picture_s` the later ones (median), of that `warm_<stage>_s` as the bot traces them (`bench._stages`), and
`warm_discord_s` what is outside them; `bot_cpu_s` and `worker_cpu_s`, processor time of a warm picture; `bot_rss_mb`,
`worker_rss_mb`, `loop_lag_p99_ms` while painting; `peer_first_picture_s`, `peer_warm_picture_s` (median),
`peer_warm_cpu_s`, `peer_rss_mb`, and the ratios ours / peer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import psutil

from bench._stages import STAGES, Span, receiving
from discord_sandbox import Message, Sandbox, ScriptedUser
from generation import paintbox

ROOT = Path(__file__).resolve().parents[1]
PROMPT = "a red circle on a blue background"
_MB = 2**20
_PEER = """
import sys, time, json
import psutil, torch
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1], safety_checker=None, local_files_only=True)
pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config, use_karras_sigmas=True)
pipeline.set_progress_bar_config(disable=True)
def paint():
    generator = torch.Generator().manual_seed(7)
    size = int(sys.argv[2])
    steps, guidance = int(sys.argv[4]), float(sys.argv[5])
    pipeline(sys.argv[3], height=size, width=size, num_inference_steps=steps, guidance_scale=guidance,
             generator=generator).images[0].tobytes()
    return time.time(), time.process_time()
times = [paint() for _ in range(1 + int(sys.argv[6]))]
rss = psutil.Process().memory_info().rss / 2**20
warm, cpu = (sorted(b - a for a, b in zip(each, each[1:]))[len(each) // 2 - 1] for each in zip(*times))
first = times[0][0] - float(sys.argv[7])
print(json.dumps({"first_picture_s": first, "warm_picture_s": warm, "warm_cpu_s": cpu, "rss_mb": rss}))
"""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench startup", description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print nothing but the JSON line")
    parser.add_argument("--painters", type=int, default=6, help="members who paint at once while lag is measured")
    parser.add_argument("--warm", type=int, default=5, help="pictures one after another once all is warm")
    options = parser.parse_args(argv)
    ours = asyncio.run(_measure_bot(options.painters, options.warm))
    peer = _measure_peer(options.warm)
    figures = ours | {f"peer_{name}": value for name, value in peer.items()}
    figures["ratio_first_picture"] = ours["first_picture_s"] / peer["first_picture_s"]
    figures["ratio_warm_picture"] = ours["warm_picture_s"] / peer["warm_picture_s"]
    if not options.json:
        for name, value in figures.items():
            print(f"{name:24} {value:10.2f}")
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))
    return 0


async def _measure_bot(num_painters: int, num_warm: int) -> dict[str, float]:
    spans: list[Span] = []
    async with receiving(spans) as tracing, Sandbox(seed_world=True, bot_name="Atelier") as discord:
        started_s = time.perf_counter()
        async with running_bot(discord, tracing) as (process, health_url):
            becoming_well = asyncio.create_task(_time_until_well(health_url))
            await discord.wait_until_ready(timeout_s=120)
            guild = next(iter(discord.world.guilds.values()))
            members = [member for member in guild.members.values() if not member.user.is_bot]
            channel = next(channel for channel in guild.channels.values() if channel.name == "general")
            actors = [discord.act_as(member, channel) for member in members]
            await _paint(discord, actors[0])
            first_s = time.perf_counter() - started_s
            ready_s = await becoming_well - started_s
            before = count_cpu_s(process.pid)
            warm_s = statistics.median([await _time(_paint(discord, actors[0])) for _ in range(num_warm)])
            bot_s, *workers_s = (
                (after - since) / num_warm for since, after in zip(before, count_cpu_s(process.pid), strict=True)
            )
            await asyncio.gather(*(_paint(discord, actors[n % len(actors)]) for n in range(num_painters)))
            lag_ms = (await _health(health_url))["loop_lag_p99_ms"]
            sizes = _sizes_mb(process.pid)
    stages = _find_medians(spans, num_warm)
    return {
        "ready_s": ready_s,
        "first_picture_s": first_s,
        "warm_picture_s": warm_s,
        **{f"warm_{name}_s": seconds for name, seconds in stages.items()},
        "warm_discord_s": warm_s - sum(stages.values()),
        "bot_cpu_s": bot_s,
        "worker_cpu_s": sum(workers_s),
        "bot_rss_mb": sizes[0],
        "worker_rss_mb": max(sizes[1:], default=0.0),
        "loop_lag_p99_ms": lag_ms,
    }


def _find_medians(spans: list[Span], num_warm: int) -> dict[str, float]:
    """Return how long each stage of the warm pictures took: those after the first."""
    began = {span.trace: span.began_ns for span in spans if span.name == "request"}
    warm = sorted(began, key=began.__getitem__)[1 : 1 + num_warm]
    return {
        name: statistics.median([span.seconds for span in spans if span.name == name and span.trace in warm])
        for name in STAGES
    }


async def _time(work: Awaitable[None]) -> float:
    since_s = time.perf_counter()
    await work
    return time.perf_counter() - since_s


@asynccontextmanager
async def running_bot(
    discord: Sandbox, settings: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start the bot as its own process, with these settings too; return the address of its health page."""
    port = _free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "ATELIER_DISCORD_URL": discord.url,
            "ATELIER_DISCORD_TOKEN": discord.token,
            "ATELIER_DATA_DIR": folder,
            "ATELIER_HOME": folder,
            "ATELIER_HEALTH_PORT": str(port),
            "ATELIER_LOG_LEVEL": "WARNING",
        }
        command = [sys.executable, str(ROOT / "bot.py"), "serve"]
        process = await asyncio.create_subprocess_exec(*command, env={**_environment(), **environment, **settings})
        try:
            yield process, f"http://127.0.0.1:{port}/healthz"
        finally:
            process.terminate()
            await process.wait()


async def _paint(discord: Sandbox, actor: ScriptedUser) -> None:
    """Ask for a picture and wait until its file is in the channel."""
    interaction = await actor.slash("imagine", prompt=PROMPT, seed=7)
    if interaction.failed:
        raise RuntimeError("/imagine was not acknowledged")
    await discord.wait_for(lambda: has_picture(interaction.original_message), timeout_s=120)


def has_picture(message: Message | None) -> bool:
    return message is not None and any(file.filename.endswith(".png") for file in message.attachments)


async def _time_until_well(health_url: str) -> float:
    await wait_until_well(health_url)
    return time.perf_counter()


async def wait_until_well(health_url: str) -> dict[str, Any]:
    """Return what the health page says once it has no problem to report (the model is loaded, Discord connected)."""
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        try:
            if not (facts := await _health(health_url))["problems"]:
                return facts
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)
    raise TimeoutError("the bot did not become well within 120 s")


async def _health(url: str) -> dict[str, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return dict(await answer.json())


def _measure_peer(num_warm: int) -> dict[str, float]:
    settings = (
        str(paintbox.MODEL_DIR),
        str(paintbox.NATIVE_PX),
        PROMPT,
        str(paintbox.DEFAULT_STEPS),
        str(paintbox.DEFAULT_GUIDANCE),
        str(num_warm),
    )
    done = subprocess.run(  # like ours, from before its process begins
        [sys.executable, "-c", _PEER, *settings, str(time.time())], capture_output=True, text=True, check=True, cwd=ROOT
    )
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def count_cpu_s(pid: int) -> list[float]:
    """Return the processor time of the process and of each of its children, in seconds."""
    process = psutil.Process(pid)
    return [sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)]]


def _sizes_mb(pid: int) -> list[float]:
    """Return the resident size of the process and of each of its children, in MB."""
    process = psutil.Process(pid)
    return [one.memory_info().rss / _MB for one in [process, *process.children(recursive=True)]]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
