"""The start of every command. Imports next to nothing, so that a worker's process begins before all else.

The worker imports its engine meanwhile, which takes longer than whatever else a command does until it can paint.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from generation.workers.early_start import start_early

_PAINTING = ("serve", "imagine", "replay", "api")
_WITHOUT_WORKER = ("--help", "--wait")


def run() -> None:
    """Run the command line."""
    if will_paint(sys.argv[1:]):
        start_early()  # `load_settings` ends it where the settings have no worker on this machine
    from cli.app import run as run_command_line

    run_command_line()


def will_paint(words: Sequence[str]) -> bool:
    """Return whether a command of these words surely paints. One of which that is not sure starts its worker itself."""
    command = words[2:] if words[:1] == ["--home"] else words
    return bool(command) and command[0] in _PAINTING and not set(command).intersection(_WITHOUT_WORKER)
