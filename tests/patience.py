"""How long tests wait, and how they wait for what nobody tells. It only ends what hangs; no test judges by it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

PATIENCE_S = 900.0
"""For whatever must come. Less than pytest's own limit, so that what did not come is named."""
ACK_S = 60.0
"""For a bot's first answer. Discord's 3 s are judged where a test sets them, and by `bench ack`."""


async def until(holds: Callable[[], Awaitable[object] | object], *, every_s: float = 0.005) -> None:
    """Wait until a condition holds whose change is told to nobody.

    A loop that only yields would keep a core busy that the program under test needs.
    """
    async with asyncio.timeout(PATIENCE_S):
        while True:
            value = holds()
            if await value if inspect.isawaitable(value) else value:
                return
            await asyncio.sleep(every_s)
