"""A first start that guides: token, server, card, model, safety.

Each answer is kept at once, so that it can go on later. A second time, Enter changes nothing.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

from cli.doctor import AT_START, Outcome, run_checks, running_bot
from cli.guide._model import choose_model
from cli.guide._safety import choose_safety
from cli.guide._server import Place, choose_place
from cli.guide._state import Options as Options
from cli.guide._state import Setup
from cli.guide._token import choose_token
from config import Settings
from generation.program import format_command


def run_setup(settings: Settings, home: Path, options: Options) -> int:
    """Guide through all steps. Return the exit status: 0 if `serve` would start.

    Raise `ConfigurationError` for what cannot be asked.
    """
    setup = Setup(settings, home, options)
    try:
        return _guide(setup)
    except KeyboardInterrupt:
        setup.questions.say(f"\nStopped. What was answered is kept; {format_command('setup')} goes on from there.")
        raise


def _guide(setup: Setup) -> int:
    say = setup.questions.say
    say("1. The bot's token")
    application = choose_token(setup)
    token = setup.settings.discord_token
    assert token is not None
    say("\n2. A server")
    place = choose_place(setup.settings, setup.questions, token.get_secret_value(), application, setup.options.server)
    say("\n3. What it paints with")
    choose_model(setup)
    say("\n4. Safety")
    choose_safety(setup, application)
    say("\n5. Checks")
    return _finish(setup, place)


def _finish(setup: Setup, place: Place) -> int:
    """Run the checks that `serve` runs, and say what to do next."""
    say = setup.questions.say
    results = asyncio.run(run_checks(setup.settings, AT_START))
    for result in results:
        say(f"  {result.outcome:<4} {result.name}: {result.text}")
    if any(result.outcome is Outcome.FAILED for result in results):
        say("\nThe bot would not start. Change what is BAD, and run this again.")
        return 1
    running = running_bot(setup.settings)
    if running is None:
        say(f"\nStart the bot: {format_command('serve')}.")
    elif setup.has_changed:
        say(f"\nStart the bot that runs ({running}) again: what was changed holds from its next start.")
    if place.channel is None:
        say(f"{place.what_is_left} Then type /imagine in a channel.")
    else:
        say(f"Then type /imagine a red circle in #{place.channel} of {place.server}.")
    return 0
