"""What the settings say of a fleet."""

from __future__ import annotations

import importlib.util

from config import Settings
from generation.errors import ConfigurationError
from generation.fleet.address import FleetAddress, parse_address
from generation.fleet.messages import DriverConfig
from generation.fleet.version import find_version
from generation.program import format_install


def read_fleet_address(settings: Settings) -> FleetAddress:
    """Return the fleet of these settings. Raise `ConfigurationError` if they name none."""
    if settings.fleet is None:
        problem = "The settings name no fleet."
        raise ConfigurationError(problem=problem, remedy="Set ATELIER_FLEET and ATELIER_FLEET_TOKEN_FILE.")
    if settings.fleet_token is None:
        problem = f"ATELIER_FLEET is {settings.fleet}, and there is no token for it."
        raise ConfigurationError(problem=problem, remedy="Set ATELIER_FLEET_TOKEN_FILE to what `fleet head` made.")
    require_ray()
    return FleetAddress(*parse_address(settings.fleet), settings.fleet_token.get_secret_value())


def build_driver_config(settings: Settings, *, epoch: int = 0) -> DriverConfig:
    """Return what a driver process of these settings begins with."""
    return DriverConfig(epoch=epoch, version=find_version(), wait_s=settings.fleet_wait_s)


def require_ray() -> None:
    """Raise `ConfigurationError` if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise ConfigurationError(
            problem="A fleet needs Ray, which is not installed.",
            remedy=f"{format_install('fleet')} installs it (Linux).",
        )
