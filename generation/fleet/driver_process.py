"""The Ray driver's process, as the bot starts it and explains its end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from generation.fleet.address import FleetAddress
from generation.workers.environment import worker_environment

_ROOT = Path(__file__).resolve().parents[2]
_GIVE_UP_HEAD_S = 20
"""How long a driver goes on without Ray's head before Ray ends it: its members may answer all that time."""
_NO_RAYLET = "Failed to connect to socket at address:/"
"""Said by Ray, before it aborts, where the driver's machine has no process of the cluster to lead it there."""
_WRONG_TOKEN = ("InvalidAuthToken", "Unauthenticated", "AuthenticationError")


async def spawn_driver(address: FleetAddress) -> asyncio.subprocess.Process:
    """Start `generation.fleet.ray_driver`: it connects at once, and then waits for its `DriverConfig`."""
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "generation.fleet.ray_driver",
        address.text,
        str(os.getpid()),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=build_environment(address),
        cwd=_ROOT.anchor,  # Ray has members look for code in this folder too
    )


def build_environment(address: FleetAddress) -> dict[str, str]:
    """Return what a driver may see: no secret but the fleet's token."""
    environment = worker_environment(os.environ)
    environment |= {name: value for name, value in os.environ.items() if name.startswith("RAY_")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(_ROOT), environment.get("PYTHONPATH"))))
    environment.pop("RAY_AUTH_TOKEN_PATH", None)
    environment.setdefault("RAY_gcs_rpc_server_reconnect_timeout_s", str(_GIVE_UP_HEAD_S))
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": address.token, "RAY_USAGE_STATS_ENABLED": "0"}
    return environment | own


def explain(lines: Iterable[str], address: FleetAddress) -> str:
    """Return what a driver's last lines on stderr mean, if they are known; else an empty text."""
    if any(sign in line for line in lines for sign in _WRONG_TOKEN):
        return f"Ray at {address.text} does not take the token: give this bot the one that `fleet head` made."
    if any(_NO_RAYLET in line for line in lines):
        return (
            f"Ray at {address.text} answers, and no part of its fleet runs on this machine: start `fleet head` here, "
            "or `fleet join` with --no-cards."
        )
    if any("nothing answers there" in line for line in lines):
        return f"Ray at {address.text} does not answer: is `fleet head` running there, and this machine in its network?"
    return ""
