"""Keeps the bot connected to Discord for as long as the program runs.

discord.py reconnects a gateway that was up, but a *first* connection that fails ends the client for good; then a
fresh client is built and tried again, with growing pauses.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import aiohttp
import discord

from cogs.client import AtelierClient, Services, build_client
from cogs.wire import point_at
from generation.errors import Misconfigured

log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
CONNECTED = "connected"
_PASSING = (OSError, AttributeError, TimeoutError, aiohttp.ClientError, discord.DiscordException)
"""What a Discord that is down, or coming up, makes of a client. AttributeError is discord.py's own slip there."""


async def keep_connected(
    services: Services, token: str, *, url: str | None = None, report: Callable[[str], None] = lambda state: None
) -> None:
    """Connect, and connect again, until cancelled. `report` hears the state: `connected`, or what is wrong.

    Raises `Misconfigured` when Discord refuses the token: trying again would not help.
    """
    if url is not None:
        point_at(url)
    pause_s = FIRST_PAUSE_S
    while True:
        client = build_client(services)
        _report_state(client, report)
        try:
            await client.start(token)
        except discord.LoginFailure:
            remedy = "Copy it again from the “Bot” page of your application into ATELIER_DISCORD_TOKEN."
            raise Misconfigured(problem="Discord refuses the token.", remedy=remedy) from None
        except _PASSING as error:
            log.warning("action=discord-lost error=%s next_try_s=%.0f", type(error).__name__, pause_s)
            report(f"not reachable ({type(error).__name__}); trying again")
        finally:
            pause_s = FIRST_PAUSE_S if client.is_ready() else min(LONGEST_PAUSE_S, pause_s * 2)
            await client.close()
        await asyncio.sleep(pause_s)


def _report_state(client: AtelierClient, report: Callable[[str], None]) -> None:
    async def on_up() -> None:
        report(CONNECTED)

    async def on_down() -> None:
        report("connection lost; discord.py is reconnecting")

    client.add_listener(on_up, "on_ready")
    client.add_listener(on_up, "on_resumed")
    client.add_listener(on_down, "on_disconnect")
