"""Set up logging, and take secrets out of every line, those of libraries too.

discord.py names the address it speaks to when it is rate-limited, and an interaction's token is part of that address;
at DEBUG, libraries log whole requests and the values of SQL statements.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections import deque

from generation.log_context import find_job

QUIET = ("discord.http", "discord.webhook", "discord.gateway", "discord.client", "discord.state", "aiosqlite")
"""These log payloads, and with them tokens and prompts, at DEBUG."""
CHATTY = ("alembic", "httpx", "httpx2")
"""These log every step or request at INFO, and would tear a progress bar to pieces."""
HIDDEN = "[secret]"
TEXT, JSON = "text", "json"
MAX_RECENT = 20
_IN_ADDRESS = re.compile(r"((?:webhooks|interactions)/\d+/)[\w.\-]{20,}")


class Line(logging.Formatter):
    """One event a line, with the job that it is about at its end where it does not say it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        job_id, is_said = find_job(record.message)
        line = super().formatMessage(record)
        return f"{line} job={job_id}" if job_id and not is_said else line


class Redacting(logging.Formatter):
    """Format as another formatter does, without secrets and the tokens of interactions, in tracebacks too."""

    def __init__(self, *secrets: str, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or Line()
        self._secrets: list[str] = []
        for secret in secrets:
            self.hide(secret)

    def hide(self, secret: str) -> None:
        """Take one more secret out of the lines to come, also as JSON writes it."""
        self._secrets += [each for each in dict.fromkeys((secret, json.dumps(secret)[1:-1])) if each]

    def format(self, record: logging.LogRecord) -> str:
        line = self._inner.format(record)
        for secret in self._secrets:
            line = line.replace(secret, HIDDEN)
        return _IN_ADDRESS.sub(rf"\1{HIDDEN}", line)


class RecentErrors(logging.Handler):
    """Keeps the last errors, each in one line, for the operator's page."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: deque[str] = deque(maxlen=MAX_RECENT)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.appendleft(self.format(record).partition("\n")[0])


def list_recent_errors() -> list[str]:
    """Return the last errors in the log, the newest first."""
    handlers = (each for each in logging.getLogger().handlers if isinstance(each, RecentErrors))
    return [line for each in handlers for line in each.lines]


def configure_logging(level: str, *, form: str = TEXT, secrets: tuple[str, ...] = ()) -> None:
    """Log to standard error from `level` on, as text or as one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(*secrets, inner=_build_json() if form == JSON else None))
    recent = RecentErrors()
    recent.setFormatter(Redacting(*secrets))
    logging.basicConfig(level=level, handlers=[handler, recent])
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.getLevelNamesMapping()[level], logging.INFO))
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _build_json() -> logging.Formatter:
    from cli.json_logs import build_formatter  # structlog takes a fifth of a second to import

    return build_formatter()


def hide_in_logs(secret: str) -> None:
    """Take out of every line a secret that was not known when logging was set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, Redacting):
            handler.formatter.hide(secret)
