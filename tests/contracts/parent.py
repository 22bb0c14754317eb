"""A process that starts a worker, says the pid of its child, and waits to be killed."""

from __future__ import annotations

import asyncio

from bench.light_engine import ENGINE
from generation.jobs.protocol import Ready
from generation.workers.frames import WorkerConfig
from generation.workers.local import LocalWorker


async def main() -> None:
    worker = LocalWorker(WorkerConfig(models=(), engine=ENGINE))
    await worker.start()
    async for event in worker.events():
        if isinstance(event, Ready):
            print(worker.pid, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main())
