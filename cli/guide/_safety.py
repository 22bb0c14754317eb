"""The step of `setup` on safety: whether pictures are checked, and who runs the bot."""

from __future__ import annotations

from cli.discord_api import Application
from cli.guide._state import Setup
from generation.errors import ConfigurationError

_NONE = "none"


def choose_safety(setup: Setup, application: Application) -> None:
    questions, options = setup.questions, setup.options
    checks = options.safety_checker
    if checks is None:
        question = (
            "  Check every picture before it is shown? Without it, the bot paints in age-restricted channels only."
        )
        checks = questions.confirm(question, default=setup.settings.safety_checker)
    setup.keep(safety_checker=str(checks).lower())
    _choose_owners(setup, application)
    questions.say(f"  Pictures are {'checked' if setup.settings.safety_checker else 'NOT checked'}.")
    questions.say(f"  Operators: {setup.settings.owner_ids or 'none'}.")


def _choose_owners(setup: Setup, application: Application) -> None:
    known = setup.settings.owner_ids or str(application.owner_id or "")
    owner = f" ({application.owner_name} owns the application)" if application.owner_name else ""
    question = f"  Discord ids of those who run the bot, for /operator, or {_NONE}{owner}"
    given = setup.options.owner_ids
    while True:
        ids = setup.questions.ask(question, known) if given is None else given
        try:
            return setup.keep(owner_ids="" if ids.lower() == _NONE else ids)
        except ConfigurationError as wrong:
            if given is not None or not setup.questions.is_asking:
                raise
            setup.questions.say(f"  {wrong}")
