"""Lines of the log as JSON objects, for what collects logs. Imported only where the setting asks for them."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict

from generation.log_context import find_job

_BEGINS = re.compile(r"\w+=")
_BETWEEN = re.compile(r" (?=\w+=)")
_FREE = frozenset({"reason", "error", "at", "problem"})
"""Fields whose values may hold anything, so that nothing behind them is a field."""


def build_formatter() -> logging.Formatter:
    """Return what writes a record: `timestamp`, `level`, `logger`, `event`, and the fields of the event."""
    return ProcessorFormatter(
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _add_fields,
        ],
        processors=[
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    )


def _add_fields(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the fields that a line is written with (`job=… action=…`), and the job that it is about."""
    said = str(event["event"])
    for name, value in _split(said):
        event.setdefault(name, value)
    job_id, _ = find_job(said)
    if job_id:
        event["job"] = job_id
    return event


def _split(said: str) -> Iterator[tuple[str, str]]:
    if not _BEGINS.match(said):
        return
    rest = said
    while rest:
        name, _, rest = rest.partition("=")
        value, *more = [rest] if name in _FREE else _BETWEEN.split(rest, maxsplit=1)
        yield name, value
        rest = more[0] if more else ""
