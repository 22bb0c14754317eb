"""Starts the fleet's driver process before the rest of the program is loaded: Ray takes as long to load as the bot."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from generation.errors import ConfigurationError
from generation.fleet.address import FleetAddress, parse_address
from generation.fleet.driver_process import spawn_driver
from generation.workers.child_process import kill

if TYPE_CHECKING:
    from config import Settings


async def start_driver(settings: Settings) -> asyncio.subprocess.Process | None:
    """Return a driver process that connects to the fleet of these settings; None without one.

    What is wrong with the settings is not said here: `serve` says it with all the rest.
    """
    if settings.fleet is None or settings.fleet_token is None:
        return None
    with contextlib.suppress(ConfigurationError, OSError):
        return await spawn_driver(FleetAddress(*parse_address(settings.fleet), settings.fleet_token.get_secret_value()))
    return None


async def end_driver(driver: asyncio.subprocess.Process | None) -> None:
    """End a driver that no fleet has ended."""
    if driver is not None:
        kill(driver)
        await driver.wait()
