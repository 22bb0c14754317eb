"""Points discord.py at a Discord on this machine instead of the real one. For trials and tests; loopback only.

These three class attributes are all the addresses discord.py has; nothing of ours holds one of its own.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import discord
import discord.gateway
import discord.http
import yarl

from generation.errors import ConfigurationError
from generation.loopback import is_loopback_url


def set_base_url(discord_url: str) -> None:
    """Speak to the Discord at `http://127.0.0.1:PORT`. Raise `ConfigurationError` for an address beyond this
    machine."""
    if not is_loopback_url(discord_url):
        problem = f"{discord_url} is not a loopback address."
        raise ConfigurationError(problem=problem, remedy="Use something like http://127.0.0.1:8080, or leave it out.")
    netloc = urlsplit(discord_url).netloc
    base = f"http://{netloc}"
    discord.http.Route.BASE = f"{base}/api/v10"
    discord.Asset.BASE = f"{base}/cdn"
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws://{netloc}/gateway")
