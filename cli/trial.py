"""Run the unchanged bot against a local Discord. The sandbox is a distribution of its own, and may be absent."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer

from cli.env_file import find_home
from cli.execution import PROGRAM, chosen_home
from db.lock import FolderLock, in_use
from generation.errors import ConfigurationError

_NAMES = ("discord_sandbox", "sandbox")
"""Of the distribution, and of the folder it was in the source tree."""


def run_trial(port: int, data_dir: Path | None) -> int:
    """Serve a local Discord with the bot connected until interrupted. Blocks. Return the bot's exit status.

    Raise `ConfigurationError` if the sandbox is not installed, or runs already.
    """
    launch = _import_launch()
    home = find_home(chosen_home.get())
    folder = (data_dir or home / "sandbox-data").absolute()
    if (holder := FolderLock(folder).holder()) is not None:
        raise in_use(f"the folder {folder}", holder, "another one with --data-dir")

    def build_environment(discord: Any) -> dict[str, str]:
        return {
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
    serving = launch.run_with_bot(command, port=port, environment=build_environment, say=typer.echo, bot_name="Atelier")
    return int(asyncio.run(serving))


def _import_launch() -> Any:
    for name in _NAMES:
        if find_spec(name) is not None:
            return importlib.import_module(f"{name}.launch")
    raise ConfigurationError(
        problem="The sandbox is not installed.", remedy='Install it with `pip install "atelier-bot[sandbox]"`.'
    )
