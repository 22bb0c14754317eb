"""Run the unchanged bot against a local Discord. The sandbox is a distribution of its own, and may be absent."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from cli.api import DEFAULT_PORT, bind, has_packages
from cli.env_file import find_home
from cli.execution import PROGRAM, chosen_home
from db.lock import FolderLock, in_use
from generation.errors import ConfigurationError

_NAMES = ("discord_sandbox", "sandbox")
"""Of the distribution, and of the folder it was in the source tree."""
_PORTS_TO_TRY = 20
_OPERATOR = "ada"
"""Who runs the bot, of the people in the sandbox: the owner of the larger server."""


def run_trial(port: int, data_dir: Path | None) -> int:
    """Serve a local Discord with the bot connected until interrupted. Blocks. Return the bot's exit status.

    Raise `ConfigurationError` if the sandbox is not installed, or runs already.
    """
    launch = _import_launch()
    home = find_home(chosen_home.get())
    folder = (data_dir or home / "sandbox-data").absolute()
    if (holder := FolderLock(folder).holder()) is not None:
        raise in_use(f"the folder {folder}", holder, "another one with --data-dir")

    pages = f"http://127.0.0.1:{_find_free_port()}" if has_packages() else ""

    def build_environment(discord: Any) -> dict[str, str]:
        discord.application.first_command = "imagine"
        return {
            **(_join_pages(discord, pages) if pages else {"ATELIER_API_PORT": "0"}),
            "ATELIER_HOME": str(home),
            "ATELIER_DISCORD_URL": discord.url,
            "ATELIER_DISCORD_TOKEN": discord.token,
            "ATELIER_DATA_DIR": str(folder),
            "ATELIER_DATABASE_URL": f"sqlite:///{folder / 'atelier.db'}",  # never that of a bot that is at work
            "ATELIER_HEALTH_PORT": "0",
            "TTY_INTERACTIVE": "0",  # its bars would meet our lines
            "ATELIER_LOG_LEVEL": os.environ.get("ATELIER_LOG_LEVEL", "WARNING"),
        }

    command = [sys.executable, str(PROGRAM), "serve"]
    hint = "pick who you are, and type a command" + (f"; your pictures are also at {pages}" if pages else "")
    serving = launch.run_with_bot(
        command, port=port, environment=build_environment, say=typer.echo, bot_name="Atelier", hint=hint
    )
    return int(asyncio.run(serving))


def _find_free_port() -> int:
    """Return a free port for the web pages. Raise `ConfigurationError` if there is none."""
    for port in range(DEFAULT_PORT, DEFAULT_PORT + _PORTS_TO_TRY):
        with suppress(ConfigurationError), bind("127.0.0.1", port):
            return port
    raise ConfigurationError(problem="The ports of the web pages are all in use.", remedy="Stop another sandbox.")


def _join_pages(discord: Any, url: str) -> dict[str, str]:
    """Make the web pages known to the local Discord, and return the settings with which the bot serves them."""
    discord.oauth2.redirect_uris.add(f"{url}/sign-in/done")
    operator = next(each for each in discord.world.users.values() if each.username == _OPERATOR)
    discord.application.web_pages.update(
        {
            "Gallery": f"{url}/sign-in?to=/gallery",
            f"Operator, for {operator.display_name}": f"{url}/sign-in?to=/operator",
        }
    )
    return {
        "ATELIER_API_PORT": url.rpartition(":")[2],
        "ATELIER_API_HOST": "127.0.0.1",
        "ATELIER_API_TLS": "false",
        "ATELIER_WEB_URL": url,
        "ATELIER_WEB_CLIENT_ID": str(discord.application.id),
        "ATELIER_WEB_CLIENT_SECRET": discord.oauth2.secret,
        "ATELIER_OWNER_IDS": str(operator.id),
    }


def _import_launch() -> Any:
    for name in _NAMES:
        if find_spec(name) is not None:
            return importlib.import_module(f"{name}.launch")
    raise ConfigurationError(
        problem="The sandbox is not installed.", remedy='Install it with `pip install "atelier-bot[sandbox]"`.'
    )
