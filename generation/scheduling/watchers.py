"""Those who wait for news of a job: each hears that something changed, and looks what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Watchers:
    """One event loop's. What happens between two looks is one piece of news."""

    def __init__(self) -> None:
        self._of_job: dict[str, set[asyncio.Event]] = {}

    def notify(self, job_id: str) -> None:
        """Wake those who watch the job. Return at once."""
        for event in self._of_job.get(job_id, ()):
            event.set()

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Event]:
        """Hold an event that is set at each change; who waits for it clears it."""
        event = asyncio.Event()
        watching = self._of_job.setdefault(job_id, set())
        watching.add(event)
        try:
            yield event
        finally:
            watching.discard(event)
            if not watching and self._of_job.get(job_id) is watching:
                del self._of_job[job_id]
