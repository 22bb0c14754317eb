"""`python -m discord_sandbox`: Discord on loopback by itself, for any discord.py bot to connect to."""

from __future__ import annotations

import argparse
import asyncio
import sys

from discord_sandbox.server import Sandbox


async def _serve(port: int, bot_name: str) -> None:
    async with Sandbox(port=port, seed_world=True, bot_name=bot_name, journal_limit=3000) as discord:
        lines = [
            f"Discord is at   {discord.url}  (open it in a browser)",
            f"API             {discord.api_base}",
            f"gateway         {discord.gateway_url}",
            f"CDN             {discord.cdn_url}",
            f"bot token       {discord.token}",
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="discord-sandbox", description=__doc__)
    parser.add_argument("--port", type=int, default=8765, help="0 takes any free port")
    parser.add_argument("--bot-name", default="Bot", help="the bot's user name")
    arguments = parser.parse_args()
    try:
        asyncio.run(_serve(arguments.port, arguments.bot_name))
    except KeyboardInterrupt:
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
