"""`python -m discord_sandbox`: Discord on loopback by itself, for any discord.py bot to connect to."""

from __future__ import annotations

import argparse
import asyncio
import sys

from discord_sandbox.launch import open_for_a_person


async def _serve(port: int, bot_name: str) -> None:
    async with open_for_a_person(port, bot_name) as discord:
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
