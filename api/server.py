"""Serves the application by uvicorn, in the event loop that is there.

uvicorn waits for ever for the head of a request. Here that takes `HEAD_S` at most; and where all connections are taken,
the one that has kept its head to itself for longest makes way for a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)
HEAD_S = 10.0
MAX_CONNECTIONS = 512
MAX_HEAD_BYTES = 16 * 1024
GRACE_S = 5


class PatientProtocol(H11Protocol):
    """HTTP/1.1 that waits a bounded time for the head of each request."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        if len(self.connections) >= MAX_CONNECTIONS and not self._make_way():
            transport.abort()
            self.transport = transport
            return
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self in self.connections:
            super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self.is_waiting:
            self._await_head()
        else:
            self._stop_timer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.is_waiting and not self.transport.is_closing():
            self._await_head()

    @property
    def is_waiting(self) -> bool:
        """Whether none is being answered, and the head of the next request has not come.

        The rest of a body that was refused may come before it, and is dropped.
        """
        is_idle = self.cycle is None or self.cycle.response_complete
        return is_idle and self.conn.their_state in (h11.IDLE, h11.SEND_BODY)

    def _await_head(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(HEAD_S, self.give_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def give_up(self) -> None:
        self._timer = None
        if self.is_waiting:
            self.transport.abort()
            self.connections.discard(self)

    def _make_way(self) -> bool:
        """End the connection that has waited for longest for its head. Return whether there was one."""
        waiting = [each for each in self.connections if isinstance(each, PatientProtocol) and each._timer is not None]
        oldest = min(waiting, key=lambda each: each._timer.when() if each._timer else 0, default=None)
        if oldest is None:
            return False
        oldest._stop_timer()
        oldest.give_up()
        return True


@asynccontextmanager
async def serve_api(app: FastAPI, bound: socket.socket) -> AsyncIterator[int]:
    """Serve the application at a bound socket while the context lasts; yield its port."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=PatientProtocol,
            ws="none",
            loop="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            timeout_keep_alive=int(HEAD_S),
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment] # the program has its own
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # `api.app` has logged it
    serving = asyncio.create_task(server.serve(sockets=[bound]), name="api")
    try:
        yield int(bound.getsockname()[1])
    finally:
        server.should_exit = True
        await asyncio.wait((serving,))
