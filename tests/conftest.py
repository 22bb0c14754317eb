"""What every test shares: discord.py loaded before warnings become errors, and the tally of judged messages."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import pytest

with warnings.catch_warnings():
    # On Python 3.11 discord.py imports the deprecated `audioop`.
    warnings.simplefilter("ignore", DeprecationWarning)
    import discord  # noqa: F401


@dataclass
class Tally:
    """How many messages Discord's own description has judged over the run, and what it found."""

    num_servers: int = 0
    judged: int = 0
    violations: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


TALLY = pytest.StashKey[Tally]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[TALLY] = Tally()


@pytest.fixture(scope="session")
def tally(pytestconfig: pytest.Config) -> Tally:
    return pytestconfig.stash[TALLY]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash[TALLY]
    if not tally.num_servers:
        return
    write = terminalreporter.write_line
    terminalreporter.section("Discord's judgement")
    for note in tally.notes:
        write(note)
    write(f"{tally.judged} messages judged, {len(tally.violations)} violations, in {tally.num_servers} scenarios")
    if not tally.judged:
        write("!!! NOTHING WAS JUDGED: set DISCORD_OPENAPI to Discord's openapi.json to have every message judged.")
