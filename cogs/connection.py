"""Keeps the bot connected to Discord for as long as the program runs.

discord.py and `cogs.gateway` reconnect a gateway that was up. What ends a client all the same, of whatever kind, is
logged; then a fresh client is built and tried, with growing pauses. Only Discord's refusal of the token or of the
intents is final.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import aiohttp
import discord

from cogs.bot import AtelierBot, build_bot
from cogs.endpoints import set_base_url
from cogs.pacing import Pacing
from cogs.services import Services
from generation.errors import ConfigurationError

log = logging.getLogger(__name__)
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
CONNECTED = "connected"
_PASSING = (OSError, aiohttp.ClientError, discord.DiscordException)
"""Errors of a Discord that is down or coming up: foreseen, so logged without a traceback."""
_BAD_TOKEN, _BAD_INTENTS = {4004}, {4013, 4014}


async def keep_connected(
    services: Services,
    token: str,
    *,
    url: str | None = None,
    report: Callable[[str], None] = lambda state: None,
    connector: Callable[[], aiohttp.BaseConnector] = lambda: aiohttp.TCPConnector(limit=0),
) -> None:
    """Connect, and connect again, until cancelled. `report` hears the state: `connected`, or what is wrong.

    `connector` makes what all of a client's connections go through; it is closed with the client.

    Raise `ConfigurationError` when Discord refuses the token or the intents: trying again would not help.
    """
    if url is not None:
        set_base_url(url)
    pause_s, pacing = FIRST_PAUSE_S, Pacing()
    while True:
        client = build_bot(services, pacing=pacing, connector=connector())
        _report_state(client, report)
        began_s = time.monotonic()
        try:
            await client.start(token)
        except Exception as error:
            if (final := _find_final(error)) is not None:
                raise final from None
            _log_lost(error, pause_s)
            report(f"not reachable ({type(error).__name__}); trying again")
        finally:
            has_held = client.is_ready() and time.monotonic() - began_s > LONGEST_PAUSE_S
            await _close(client)
        pause_s = FIRST_PAUSE_S if has_held else pause_s
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


def _find_final(error: Exception) -> ConfigurationError | None:
    """Return the error that ends the program, if this one is final."""
    code = error.code if isinstance(error, discord.ConnectionClosed) else None
    if isinstance(error, discord.LoginFailure) or code in _BAD_TOKEN:
        remedy = "Copy it again from the “Bot” page of your application into ATELIER_DISCORD_TOKEN."
        return ConfigurationError(problem="Discord refuses the token.", remedy=remedy)
    if isinstance(error, discord.PrivilegedIntentsRequired) or code in _BAD_INTENTS:
        remedy = "Atelier asks only for “Guilds”, which every bot may have: update Atelier."
        return ConfigurationError(problem="Discord refuses the intents.", remedy=remedy)
    return None


def _log_lost(error: Exception, pause_s: float) -> None:
    traceback = None if isinstance(error, _PASSING) else error
    log.warning("action=discord-lost error=%s next_try_s=%.0f", type(error).__name__, pause_s, exc_info=traceback)


async def _close(client: AtelierBot) -> None:
    """Close it, whatever state it is in: discord.py stumbles over one that never got as far as its login."""
    try:
        await client.close()
    except Exception:
        log.exception("action=client-not-closed")
    finally:
        if client.connector is not None:  # of a client without a login or cancelled while closing, it is still open
            await client.connector.close()


def _report_state(client: AtelierBot, report: Callable[[str], None]) -> None:
    async def on_up() -> None:
        if not client.is_closed():  # discord.py says so up to `guild_ready_timeout` later
            report(CONNECTED)

    async def on_down() -> None:
        report("connection lost; discord.py is reconnecting")

    client.add_listener(on_up, "on_ready")
    client.add_listener(on_up, "on_resumed")
    client.add_listener(on_down, "on_disconnect")
