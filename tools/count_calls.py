"""Count the calls of Atelier's own functions between an interaction's arrival and its acknowledgement.

    python -m tools.count_calls [--list]     a bot on the local Discord; prints one row a request, as a Markdown table

A call counts if it is of a function or method of `cogs`, `generation`, `db` or `cli`, in whatever thread, from the
moment discord.py parses the INTERACTION_CREATE until it sends the first answer. What other tasks of the event loop do
meanwhile does not count. A coroutine or a generator counts once,
however often it is resumed; comprehensions, generator expressions and lambdas are parts of the function they stand in.
Each request is made once before, so what is done at the first one only is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import sys
import tempfile
import threading
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

with warnings.catch_warnings():  # on Python 3.11 discord.py imports the deprecated `audioop`
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord

from db.engine import parse_url
from db.migrate import migrate
from discord_sandbox import Interaction, Message, Sandbox, ScriptedUser, Upload
from tests.scenarios.bot_harness import LivingBot, People, button_of, until_done

ROOT = Path(__file__).resolve().parents[1]
ROOMS = tuple(f"{ROOT / room}/" for room in ("cogs", "generation", "db", "cli"))
RED = "a red circle on a blue background"
_BEGIN = (str(Path(discord.__file__).with_name("state.py")), "parse_interaction_create")
_END = (str(Path(discord.__file__).parent / "webhook" / "async_.py"), "create_interaction_response")
_asked: ContextVar[object] = ContextVar("asked")
"""The interaction that a task belongs to: tasks inherit it from the one that made them."""
_RESUMED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class CallCounter:
    """What was called, by file and function, while the last interaction waited for its first answer."""

    def __init__(self) -> None:
        self.calls = Counter[tuple[str, str]]()
        self._counted: object | None = None
        self._begun: set[FrameType] = set()
        """Frames that may be resumed. They are kept, so that no other gets the same identity."""

    @property
    def num_calls(self) -> int:
        return self.calls.total()

    @property
    def num_files(self) -> int:
        return len({file for file, _ in self.calls})

    def note(self, frame: FrameType, event: str, _argument: Any) -> None:
        """See a call: this is the hook of `sys.setprofile`."""
        if event != "call":
            return
        code = frame.f_code
        if self._counted and code.co_filename.startswith(ROOMS) and not code.co_name.startswith("<"):
            if _asked.get(None) is self._counted or threading.current_thread() is not threading.main_thread():
                self._count(frame, code)
        elif (code.co_filename, code.co_name) == _BEGIN:
            self.calls.clear()
            self._counted = object()
            _asked.set(self._counted)
        elif (code.co_filename, code.co_name) == _END:
            self._counted = None
            self._begun.clear()

    def _count(self, frame: FrameType, code: CodeType) -> None:
        if code.co_flags & _RESUMED:
            if frame in self._begun:
                return
            self._begun.add(frame)
        self.calls[str(Path(code.co_filename).relative_to(ROOT)), code.co_qualname] += 1


@contextmanager
def counting() -> Iterator[CallCounter]:
    """Count in this thread and in those that start meanwhile."""
    counter = CallCounter()
    threading.setprofile(counter.note)
    sys.setprofile(counter.note)
    try:
        yield counter
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


Ask = Callable[[ScriptedUser, Message], Awaitable[Interaction]]
"""Makes a request, given a message with a picture."""


async def ask_imagine(user: ScriptedUser, _painted: Message) -> Interaction:
    return await user.slash("imagine", prompt=RED, steps=1)


async def ask_from_image(user: ScriptedUser, painted: Message) -> Interaction:
    return await user.slash("img2img", prompt=RED, steps=1, image=Upload("a.png", painted.attachments[0].data))


async def ask_reroll(user: ScriptedUser, painted: Message) -> Interaction:
    return await user.click(painted, button_of(painted, "reroll"))


REQUESTS: dict[str, Ask] = {"/imagine": ask_imagine, "Reroll": ask_reroll, "/img2img": ask_from_image}


async def count(people: People, bot: LivingBot, counter: CallCounter, ask: Ask) -> Counter[tuple[str, str]]:
    """Return the calls of one request, made for the second time. The bot does nothing else meanwhile."""
    painted = await until_done(people.discord, await people.ada.slash("imagine", prompt=RED, steps=1))
    for _ in range(2):
        await asyncio.gather(*bot.tracker.tasks)
        used = await ask(people.ada, painted)
        assert used.acknowledged is not None
        calls = counter.calls.copy()
        await until_done(people.discord, used)
    return calls


@asynccontextmanager
async def _started_bot(folder: Path) -> AsyncIterator[tuple[People, LivingBot]]:
    migrate(parse_url(f"sqlite:///{folder / 'blank.db'}"))
    async with Sandbox(bot_name="Atelier", openapi=None) as sandbox:
        people, bot = People.settle(sandbox), LivingBot(sandbox, folder, folder / "blank.db")
        await bot.start()
        yield people, bot
        await bot.stop()


async def run(*, is_listed: bool) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder, counting() as counter:
        async with _started_bot(Path(folder)) as (people, bot):
            sys.stdout.write("| request | calls | files |\n|---|---|---|\n")
            for name, ask in REQUESTS.items():
                calls = await count(people, bot, counter, ask)
                sys.stdout.write(f"| {name} | {calls.total()} | {len({file for file, _ in calls})} |\n")
                for (file, function), number in sorted(calls.items()) if is_listed else ():
                    sys.stdout.write(f"    {number:3} {file} {function}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.count_calls", description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="print every function that was called, and how often")
    asyncio.run(run(is_listed=parser.parse_args().list))
