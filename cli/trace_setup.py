"""Traces, where the setting asks for them. Nothing of OpenTelemetry is imported where it does not."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from generation.errors import ConfigurationError
from generation.program import format_install


def traced(endpoint: str | None) -> AbstractContextManager[None]:
    """Record traces while the context lasts, if there is an endpoint. Raise `ConfigurationError` without the extra."""
    if endpoint is None:
        return nullcontext()
    try:
        from cli.tracing import record_traces
    except ImportError:
        problem = "ATELIER_TRACE_ENDPOINT is set, and OpenTelemetry is not installed."
        raise ConfigurationError(problem=problem, remedy=f"{format_install('tracing')} installs it.") from None
    return record_traces(endpoint)
