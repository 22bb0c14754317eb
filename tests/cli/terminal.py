"""A person at a terminal: a program on a pty, what it shows, and what is typed."""

from __future__ import annotations

import asyncio
import os
import pty
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


class Terminal:
    """A running `bot.py` on a terminal. `screen` is all it has shown."""

    def __init__(self, process: asyncio.subprocess.Process, handle: int) -> None:
        self.process, self._handle, self.screen, self._read = process, handle, "", 0
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(handle, self._take)

    def _take(self) -> None:
        try:
            data = os.read(self._handle, 2**16)
        except OSError:  # the other end is closed
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._handle)
        self.screen += data.decode("utf-8", errors="replace").replace("\r\n", "\n")
        self._more.set()

    async def see(self, text: str) -> None:
        """Wait until `text` appears behind what was seen before."""
        async with asyncio.timeout(PATIENCE_S):
            while (found := self.screen.find(text, self._read)) < 0:
                assert self.process.returncode is None, f"It ended without {text!r}:\n{self.screen}"
                self._more.clear()
                await self._more.wait()
        self._read = found + len(text)

    async def answer(self, question: str, line: str) -> None:
        """Wait for a question, and type a line and Enter."""
        await self.see(question)
        await self.see(": ")
        os.write(self._handle, f"{line}\n".encode())

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self.process.send_signal(signal.SIGINT)

    async def end(self) -> int:
        """Wait for the end and return the exit status."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._handle)
        os.close(self._handle)
        if self.process.returncode is None:
            self.process.kill()


@contextmanager
def _opened() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(theirs)


def _hear_interrupts() -> None:
    """Take Ctrl-C as at a terminal: what a shell starts in the background ignores it, and so do its children."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


async def open_terminal(*words: str, **environment: str) -> Terminal:
    """Start `bot.py WORDS` on a terminal of its own."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ATELIER_")}
    with _opened() as (ours, theirs):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(ROOT / "bot.py"), *words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=clean | environment,
            start_new_session=True,
            preexec_fn=_hear_interrupts,
        )
    return Terminal(process, ours)
