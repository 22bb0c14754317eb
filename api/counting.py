"""Counts what the API is asked and answers: `/metrics` shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Message, Send

from generation import metrics


@contextmanager
def count_request(dialect: str, send: Send) -> Iterator[Send]:
    """Yield the `send` to answer a request by. Count it by how the answer begins, and as open until its end."""
    began_s, status = time.perf_counter(), None

    async def send_counted(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            metrics.API_TIME.labels(dialect).observe(time.perf_counter() - began_s)
        await send(message)

    with metrics.API_OPEN.labels(dialect).track_inprogress():
        try:
            yield send_counted
        except Exception:  # Starlette answers it further out
            status = status or 500
            raise
        finally:
            metrics.API_REQUESTS.labels(dialect, metrics.class_of(status)).inc()
