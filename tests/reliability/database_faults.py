"""What happens to a database of a PostgreSQL server while a bot is at work."""

from __future__ import annotations

import asyncio
import random

from tests.postgres import Server, end_sessions

RESTART, END_SESSIONS = "restart database", "end sessions"


async def strike(server: Server, address: str, way: str, chance: random.Random) -> None:
    """Stop the server as in a power cut and start it again after a moment, or let it end the sessions of `address`."""
    await asyncio.sleep(chance.uniform(0, 0.4))
    if way == END_SESSIONS:
        await asyncio.to_thread(end_sessions, address)
        return
    await asyncio.to_thread(server.stop)
    await asyncio.sleep(chance.uniform(0, 0.5))
    await asyncio.to_thread(server.start)
