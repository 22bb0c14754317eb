"""How a command runs: with which settings, and how its errors end it. Imports little: `--help` waits for this."""

from __future__ import annotations

import gc
import io
import logging
import sys
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import typer

from cli.output import show_error
from generation.errors import AtelierError, ConfigurationError, NotNowError
from generation.workers.early_start import end_early, start_early

if TYPE_CHECKING:
    from config import Settings

PROGRAM = Path(__file__).resolve().parents[1] / "bot.py"
"""What a child process runs. It lies beside this package in the source tree and in an installation."""
PLAIN: dict[str, Any] = {"no_args_is_help": True, "rich_markup_mode": None}
"""Of every `Typer`. Without rich: it takes three times as long to import as all the rest of `--help`."""
T = TypeVar("T")
MISCONFIGURED, NOT_NOW = 2, 75
"""Exit statuses: a service manager need not try again after the first (`deploy/systemd/atelier.service`); the second is
EX_TEMPFAIL of sysexits.h."""
log = logging.getLogger("atelier")
chosen_home: ContextVar[Path | None] = ContextVar("home", default=None)
"""The value of `--home`."""


def load_settings(*, is_service: bool = False, starts_worker: bool = False, **overrides: Any) -> Settings:
    """Return the settings and prepare the process for them: failpoints, proxy, logging. End the command on errors.

    A command that ends logs warnings only, unless the settings say otherwise; a service logs what it does.
    `starts_worker`: start the first worker's process, if these settings have one, before its parent imports more.
    """
    import config
    from cli.logging_setup import configure_logging
    from cli.network import settle_proxy
    from generation import failpoints

    try:
        settings = config.load(chosen_home.get(), **overrides)
        failpoints.arm(settings.failpoints)
        secrets = settle_proxy(settings.proxy.get_secret_value() if settings.proxy else None)
    except ConfigurationError as error:
        fail(error)
    is_chosen = is_service or "log_level" in settings.model_fields_set
    level = settings.log_level if is_chosen else "WARNING"
    configure_logging(level, form=settings.log_format, secrets=(*settings.secrets, *secrets))
    if starts_worker and settings.worker_devices and settings.cloud_url is None:
        start_early()
    else:
        end_early()  # `cli.entry` did not know these settings
    return settings


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` returns. End the command on errors."""
    import asyncio

    return run_guarded(lambda: asyncio.run(work))


def run_guarded(work: Callable[[], T]) -> T:
    """Return what `work` returns. End the command with one sentence, not a traceback, on what a person can correct."""
    from cli import bars

    _resume_collecting()
    try:
        with bars.shown():
            return work()
    except AtelierError as error:
        fail(error)
    except BrokenPipeError:
        raise  # typer ends quietly when the reader of a pipe has gone
    except OSError as error:
        log.debug("action=failed", exc_info=True)
        fail(_explain(error))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    finally:
        end_early()


def pause_collecting() -> None:
    """Keep the garbage collector from what a command imports, until it runs: a third of the time of its start."""
    gc.disable()


def _resume_collecting() -> None:
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _explain(error: OSError) -> ConfigurationError:
    from generation.local_files import FileUnusableError

    if error.filename is None:
        return ConfigurationError(problem=f"The system refuses this: {error.strerror or error}.", remedy="")
    reason = FileUnusableError.of(error)
    return ConfigurationError(problem=f"{error.filename} {reason.problem}.", remedy=reason.remedy)


def fail(error: AtelierError) -> NoReturn:
    """End with a sentence. Status 75 if another try may do, 2 for what the operator has to change, as for words that
    are no command; else 1."""
    show_error(error)
    if isinstance(error, NotNowError):
        raise typer.Exit(NOT_NOW)
    raise typer.Exit(MISCONFIGURED if isinstance(error, ConfigurationError) else 1)


def escape_output() -> None:
    """Escape what a console cannot show: printing never ends a command."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
