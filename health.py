"""Is the bot well? One loopback page says, for a container's health check and for people: `/healthz`.

Also the measure of what matters most to Discord: how late the event loop runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from generation.errors import Misconfigured

_EVERY_S = 0.02
_SAMPLES = 6000


class LoopLag:
    """How late a timer of the event loop fires, over the last two minutes. Milliseconds."""

    def __init__(self) -> None:
        self._late_ms: deque[float] = deque(maxlen=_SAMPLES)

    async def watch(self) -> None:
        """Sample until cancelled."""
        while True:
            due_s = time.perf_counter() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            self._late_ms.append(max(0.0, (time.perf_counter() - due_s) * 1000))

    def reset(self) -> None:
        self._late_ms.clear()

    def p99_ms(self) -> float:
        """The 99th percentile of what was sampled, 0 before anything was."""
        late = sorted(self._late_ms)
        return late[int(0.99 * (len(late) - 1))] if late else 0.0


Facts = Callable[[], dict[str, object]]
"""What the rest of the program says about itself; key `problems` (a list of sentences) decides the status."""


@asynccontextmanager
async def serve_health(port: int, facts: Facts) -> AsyncIterator[LoopLag]:
    """Serve `/healthz` on 127.0.0.1 while the context lasts: 200 when well, 503 with the problems when not.

    Port 0 serves nothing but still measures. Raises `Misconfigured` if the port is taken.
    """
    lag = LoopLag()
    watching = asyncio.create_task(lag.watch(), name="loop lag")
    runner = await _start(port, facts, lag) if port else None
    try:
        yield lag
    finally:
        watching.cancel()
        if runner is not None:
            await runner.cleanup()


async def _start(port: int, facts: Facts, lag: LoopLag) -> web.AppRunner:
    async def healthz(request: web.Request) -> web.Response:
        body = facts() | {"loop_lag_p99_ms": round(lag.p99_ms(), 1), "tasks": len(asyncio.all_tasks())}
        return web.json_response(body, status=503 if body.get("problems") else 200)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError:
        await runner.cleanup()
        problem = f"Port {port} of this machine is in use, perhaps by another Atelier."
        raise Misconfigured(problem=problem, remedy="Stop that one, or set ATELIER_HEALTH_PORT.") from None
    return runner
