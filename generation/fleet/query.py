"""Asks a fleet one question, beside a bot or without one."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

import msgspec

from generation.errors import ConfigurationError
from generation.fleet.address import FleetAddress
from generation.fleet.driver_process import explain, spawn_driver
from generation.fleet.messages import DriverConfig, DriverFailed, FleetReport, decode_driver_message
from generation.workers.child_process import describe_exit, kill
from generation.workers.frames import HEADER, encode, read_frame_length


class FleetOutOfReachError(ConfigurationError):
    """{why}"""


async def ask_fleet(address: FleetAddress, config: DriverConfig, question: str, *, within_s: float) -> FleetReport:
    """Return the answer to `status`, `drain NAME` or `undrain NAME`.

    Raise `FleetOutOfReachError` if the fleet cannot be asked.
    """
    config = msgspec.structs.replace(config, question=question)
    process = await spawn_driver(address)
    lines: deque[str] = deque(maxlen=20)
    reading = asyncio.create_task(_read_errors(process, lines, address))
    try:
        async with asyncio.timeout(within_s):
            return await _ask(process, config)
    except TimeoutError:
        lines.append("nothing answers there")
    except asyncio.IncompleteReadError:
        await process.wait()
    finally:
        kill(process)
        await process.wait()
        await reading
    raise FleetOutOfReachError(
        why=explain(lines, address) or f"Its driver failed: {describe_exit(process.returncode)}."
    )


async def _ask(process: asyncio.subprocess.Process, config: DriverConfig) -> FleetReport:
    assert process.stdin is not None and process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(encode(config))
        await process.stdin.drain()
    while True:
        header = await process.stdout.readexactly(HEADER.size)
        said = decode_driver_message(await process.stdout.readexactly(read_frame_length(header)))
        if isinstance(said, DriverFailed):
            raise FleetOutOfReachError(why=said.message)
        if isinstance(said, FleetReport):
            return said


async def _read_errors(process: asyncio.subprocess.Process, lines: deque[str], address: FleetAddress) -> None:
    """Keep the last lines on stderr, and end a driver whose token is wrong."""
    assert process.stderr is not None
    with contextlib.suppress(ValueError):  # a line without end
        while line := await process.stderr.readline():
            lines.append(line.decode(errors="replace").strip())
            if explain(lines, address):
                kill(process)
                return  # many lines may follow, and this one counts
