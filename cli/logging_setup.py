"""Set up logging, and take secrets out of every line, those of libraries too.

discord.py names the address it speaks to when it is rate-limited, and an interaction's token is part of that address;
at DEBUG, libraries log whole requests and the values of SQL statements.
"""

from __future__ import annotations

import logging
import re
import sys

QUIET = ("discord.http", "discord.webhook", "discord.gateway", "discord.client", "discord.state", "aiosqlite")
"""These log payloads, and with them tokens and prompts, at DEBUG."""
CHATTY = ("alembic", "httpx", "httpx2")
"""These log every step or request at INFO, and would tear a progress bar to pieces."""
HIDDEN = "[secret]"
_IN_ADDRESS = re.compile(r"((?:webhooks|interactions)/\d+/)[\w.\-]{20,}")


class Redacting(logging.Formatter):
    """Format one event a line, without secrets and the tokens of interactions, in tracebacks too."""

    def __init__(self, *secrets: str) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")
        self._secrets = [secret for secret in secrets if secret]

    def hide(self, secret: str) -> None:
        """Take one more secret out of the lines to come."""
        self._secrets.append(secret)

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        for secret in self._secrets:
            line = line.replace(secret, HIDDEN)
        return _IN_ADDRESS.sub(rf"\1{HIDDEN}", line)


def configure_logging(level: str, *, secrets: tuple[str, ...] = ()) -> None:
    """Log to standard error from `level` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Redacting(*secrets))
    logging.basicConfig(level=level, handlers=[handler])
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.getLevelNamesMapping()[level], logging.INFO))
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


def hide_in_logs(secret: str) -> None:
    """Take out of every line a secret that was not known when logging was set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, Redacting):
            handler.formatter.hide(secret)
