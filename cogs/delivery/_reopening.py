"""Takes up again what was kept because a right was missing: a manager may have given it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cogs.common import discord_errors


class ReopenSchedule:
    """Calls `reopen` with a job's id after each of the pauses in turn. What waits is forgotten at a restart."""

    def __init__(self, reopen: Callable[[str], Awaitable[None]]) -> None:
        self._reopen = reopen
        self._num_tries: dict[str, int] = {}
        self._waiting: dict[str, asyncio.Task[None]] = {}

    def knows(self, job_id: str) -> bool:
        """Return whether a job was kept before, so that its owner has been told."""
        return job_id in self._num_tries

    def later(self, job_id: str) -> None:
        """Have a job taken up again, unless that was tried often enough."""
        num_before = self._num_tries.get(job_id, 0)
        if num_before == len(discord_errors.MANAGER_PAUSES_S):
            self.forget(job_id)
            return
        self._num_tries[job_id] = num_before + 1
        waiting = asyncio.create_task(
            self._wait(job_id, discord_errors.MANAGER_PAUSES_S[num_before]), name=f"reopen {job_id}"
        )
        self._waiting[job_id] = waiting
        waiting.add_done_callback(lambda _done: self._waiting.pop(job_id, None))

    def forget(self, job_id: str) -> None:
        """Note that a job has ended for good."""
        self._num_tries.pop(job_id, None)

    async def close(self) -> None:
        tasks = list(self._waiting.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, job_id: str, pause_s: float) -> None:
        await asyncio.sleep(pause_s)
        await self._reopen(job_id)
