"""Run a bot's unchanged process against a local Discord, and tell the person where to look."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Callable, Mapping, Sequence

from discord_sandbox.server import Sandbox

_STOP_GRACE_S = 30.0
_PORTS_TO_TRY = 20
# A trial may run for days: the inspector needs the last calls, not all of them.
_REMEMBERED = 3000


async def run_with_bot(
    command: Sequence[str],
    *,
    port: int,
    environment: Callable[[Sandbox], Mapping[str, str]],
    say: Callable[[str], None],
    bot_name: str = "Bot",
    hint: str = "pick who you are, and type a command",
) -> int:
    """Serve a seeded Discord, run `command` beside it until interrupted, and return its exit status.

    `environment` says how the bot learns the address and token. A taken `port` gives way to the next free one.
    `say` prints a line to the person who waits; `hint` is what it says they can do once all is there.
    """
    stop = _on_signals()
    async with contextlib.AsyncExitStack() as stack:
        discord = await _open(stack, port, bot_name)
        say(f"A local Discord is up:  {discord.url}")
        say("The bot is starting; its first start loads the model, which takes a few seconds ...")
        bot = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment(discord)})
        try:
            return await _watch(bot, stop, say, discord, hint)
        finally:
            await _end(bot)


async def _watch(
    bot: asyncio.subprocess.Process, stop: asyncio.Event, say: Callable[[str], None], discord: Sandbox, hint: str
) -> int:
    ended, stopped = asyncio.create_task(bot.wait()), asyncio.create_task(stop.wait())
    ready = asyncio.create_task(discord.wait_until_ready(timeout_s=600))
    await asyncio.wait((ended, stopped, ready), return_when=asyncio.FIRST_COMPLETED)
    if ready.done() and not ended.done() and not stopped.done():
        say(f"Ready. Open {discord.url}, {hint}. Ctrl-C stops everything.")
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
    for task in (stopped, ready):
        task.cancel()
    with contextlib.suppress(TimeoutError, asyncio.CancelledError):
        await ready
    if ended.done():
        say(f"The bot has ended with status {bot.returncode}.")
        return bot.returncode or 0
    ended.cancel()
    return 0


async def _open(stack: contextlib.AsyncExitStack, port: int, bot_name: str) -> Sandbox:
    """Open a sandbox on `port`, or on the next one that is free. Raise OSError if none can be opened."""
    candidates = range(port, min(port + _PORTS_TO_TRY, 2**16))
    for candidate in candidates:
        try:
            return await stack.enter_async_context(open_for_a_person(candidate, bot_name))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"ports {port} to {candidates[-1]} are all in use")


def open_for_a_person(port: int, bot_name: str) -> Sandbox:
    """Return a sandbox to try things in. Its messages are validated only if the environment names a description."""
    description = os.environ.get("DISCORD_OPENAPI", "")
    return Sandbox(port=port, seed_world=True, openapi=description, bot_name=bot_name, journal_limit=_REMEMBERED)


def _on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt instead
            loop.add_signal_handler(number, stop.set)
    return stop


async def _end(bot: asyncio.subprocess.Process) -> None:
    if bot.returncode is not None:
        return
    bot.terminate()
    try:
        await asyncio.wait_for(bot.wait(), _STOP_GRACE_S)
    except TimeoutError:
        bot.kill()
        await bot.wait()
