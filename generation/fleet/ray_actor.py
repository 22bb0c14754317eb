"""The Ray actor on each card of a fleet: a `MemberHost`, and what Ray knows of the place it runs at."""

from __future__ import annotations

import asyncio
import os

import ray

from generation.fleet.member_host import MemberHost

_LOOK_S = 5.0


class RayWorkerActor(MemberHost):
    """Runs as long as its machine, whatever becomes of the bot; without one for `leave_s` it gives the card back."""

    def __init__(self, *, machine: str, orphan_s: float, leave_s: float) -> None:
        super().__init__(machine=machine, device=_describe_card(), environment=os.environ, orphan_s=orphan_s)
        self._leave_s = leave_s
        self._looking: asyncio.Task[None] | None = None

    async def attach(self, epoch: int, program: str, code: str, config: bytes) -> bytes:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_after_itself(), name="look after itself")
        return await super().attach(epoch, program, code, config)

    async def find_pid(self) -> int:
        """Return the number of this process, for tests that kill it."""
        return os.getpid()

    async def _look_after_itself(self) -> None:
        """Do what is due, every few seconds."""
        while True:
            await asyncio.sleep(min(_LOOK_S, self._orphan_s))
            await self.look_after()
            if self.silent_s > self._leave_s:
                await self.close()
                ray.actor.exit_actor()


def _describe_card() -> str:
    """Return which card Ray gave this process, in words."""
    cards = ", ".join(str(each) for each in ray.get_gpu_ids())
    return f"card {cards}" if cards else "cpu"
