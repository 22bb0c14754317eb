"""What `serve` asks of its own process: the signals that stop it, the garbage collector."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal


def stop_on_signals() -> asyncio.Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C arrives as KeyboardInterrupt instead
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def make_collections_rare() -> None:
    """Run full garbage collections a twenty-fifth as often, and exclude what the program itself consists of.

    A full collection stops the event loop: a third of a second with 10,000 jobs in line, and by default every three
    seconds while they come in. `cogs.upkeep` collects every ten minutes.
    """
    gc.freeze()
    young, middle, _ = gc.get_threshold()
    gc.set_threshold(young, middle, 250)
