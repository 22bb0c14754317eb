"""The first step of `setup`: the bot's token, which is never shown."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import config
from cli.discord_api import Application, DiscordUnreachableError, fetch_application, find_application_id
from cli.guide._state import Setup
from cli.guide.questions import Questions
from cli.logging_setup import hide_in_logs
from generation.errors import ConfigurationError
from generation.local_files import FileUnusableError, decode_text, read_file

_PORTAL = "https://discord.com/developers/applications"
_MAX_TOKEN_FILE = 4096


def choose_token(setup: Setup) -> Application:
    """Return whose token it is, and keep it."""
    questions, known = setup.questions, setup.settings.discord_token
    given = _read_token(setup.options.token_file) if setup.options.token_file else None
    token = given if given is not None else known.get_secret_value() if known else None
    while True:
        is_known = token is not None and given is None
        try:
            token = _ask_token(questions) if token is None else token
            application = _check_token(setup, token)
        except ConfigurationError as wrong:
            if not questions.is_asking:
                raise
            questions.say(f"  {wrong}")
        else:
            if not is_known or questions.confirm(f"  Keep this token, of {application.name}?", default=True):
                setup.keep(discord_token=token)
                return application
        token = given = None


def _ask_token(questions: Questions) -> str:
    if not questions.is_asking:
        remedy = "Use --token-file FILE (- is standard input), or set ATELIER_DISCORD_TOKEN."
        raise ConfigurationError(problem="There is no token, and it is not asked for.", remedy=remedy)
    questions.say(f"  {_PORTAL}: New Application, then Bot, Reset Token, Copy. Enable no privileged intents.")
    return questions.ask_hidden("  Token (it is not shown)")


def _read_token(source: str) -> str:
    """Return what a file or standard input holds. Raise `ConfigurationError`; the content is not in it."""
    try:
        if source == "-":
            return sys.stdin.read(_MAX_TOKEN_FILE)
        return decode_text(read_file(Path(source).expanduser(), max_bytes=_MAX_TOKEN_FILE))
    except FileUnusableError as wrong:
        raise ConfigurationError(problem=f"{source} {wrong.problem}.", remedy=wrong.remedy) from None


def _check_token(setup: Setup, token: str) -> Application:
    """Return whose it is; without a network what the token itself tells. Raise `ConfigurationError` if it is none."""
    cleaned = config.change(setup.settings, discord_token=token).discord_token
    if cleaned is None:
        raise ConfigurationError(problem="Nothing was given.", remedy="Copy the token, paste it, and press Enter.")
    bare = cleaned.get_secret_value()
    hide_in_logs(bare)
    application_id = find_application_id(bare)  # before it is sent: another secret is none of Discord's bot API
    while True:
        try:
            application = asyncio.run(fetch_application(setup.settings, bare))
        except DiscordUnreachableError as wrong:
            setup.questions.say(f"  {wrong}")
            if setup.questions.is_asking and setup.questions.confirm("  Try again?", default=True):
                continue
            setup.questions.say("  The token looks whole, but was not checked.")
            return Application(application_id, "the application", application_id, 0, "")
        setup.questions.say(f"  The token is good: {application.name}.")
        return application
