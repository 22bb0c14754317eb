"""The questions of a first start, the answers so far, and where they are kept."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

import config
from cli.env_file import ENV_FILE
from cli.env_writer import write_settings
from cli.guide.questions import Questions
from config import Settings


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line answers already."""

    token_file: str | None = None
    server: str | None = None
    model: str | None = None
    memory: str | None = None
    safety_checker: bool | None = None
    owner_ids: str | None = None
    takes_defaults: bool = False


class Setup:
    """The questions, the answers so far, and where they are kept."""

    def __init__(self, settings: Settings, home: Path, options: Options) -> None:
        self.settings, self.home, self.options = settings, home, options
        self.questions = Questions(is_asking=sys.stdin.isatty() and not options.takes_defaults)
        self.has_changed = False

    def keep(self, **chosen: str) -> None:
        """Keep what differs from what holds. Raise `ConfigurationError` for a value that cannot be used."""
        changed = config.change(self.settings, **chosen)
        different = [name for name in chosen if getattr(changed, name) != getattr(self.settings, name)]
        if write_settings(self.home, {name: _as_text(getattr(changed, name)) for name in different}):
            self.questions.say(f"  Kept in {self.home / ENV_FILE}.")
            self.has_changed = True
        self.settings = changed


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)
