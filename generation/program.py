"""The command line of this program as a person types it, for sentences that say what to run. Pure."""

from __future__ import annotations

from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]
IS_INSTALLED = (_ROOT / "db" / "migrations" / "env.py").is_file()
"""Only a wheel has the migrations there; in the source tree they are in `alembic`."""


def format_install(extra: str) -> str:
    """Return how to type the installation of an optional part of this program, in backticks."""
    if IS_INSTALLED:
        return f'`pip install "atelier-bot[{extra}]"`'
    return f"`.venv/bin/python -m pip install -c constraints.txt -e '.[{extra}]'`"


def format_command(words: str) -> str:
    """Return how to type a command, in backticks: `atelier doctor`; in the source tree `python bot.py doctor`."""
    return f"`{'atelier' if IS_INSTALLED else 'python bot.py'} {words}`"
