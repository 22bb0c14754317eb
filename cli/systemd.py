"""Tells systemd how a service of `Type=notify` is: started, alive, stopping, and in words. Nothing without systemd.

The protocol is one datagram of `NAME=value` lines to a socket of the file system or of the abstract namespace:
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import MutableMapping

log = logging.getLogger(__name__)
READY, STOPPING = "READY=1", "STOPPING=1"
_ALIVE = "WATCHDOG=1"
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_MAX_STATUS = 200


class Systemd:
    """What the service tells. `of` takes the address out of the environment, so that no child speaks for the bot."""

    def __init__(self, address: str = "", *, alive_every_s: float = 0.0) -> None:
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._alive_every_s = alive_every_s

    @classmethod
    def of(cls, environment: MutableMapping[str, str]) -> Systemd:
        address, every_us, pid = (environment.pop(name, "") for name in _VARIABLES)
        is_watched = every_us.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, alive_every_s=int(every_us) / 1e6 / 2 if is_watched else 0.0)

    def tell(self, *lines: str) -> None:
        """Send lines. That systemd cannot be reached is logged, and no reason to stop."""
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to_systemd:
                to_systemd.setblocking(False)
                to_systemd.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            log.warning("action=systemd-not-told error=%s", error)

    def describe(self, status: str) -> None:
        """Say in words how the service is: `systemctl status` shows it."""
        self.tell(f"STATUS={' '.join(status.split())[:_MAX_STATUS]}")

    async def keep_alive(self) -> None:
        """Say that the loop turns, until cancelled, twice as often as systemd wants to hear it."""
        while self._alive_every_s:
            self.tell(_ALIVE)
            await asyncio.sleep(self._alive_every_s)
