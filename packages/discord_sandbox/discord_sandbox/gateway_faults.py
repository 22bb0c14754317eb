"""Faults of the gateway: altered payloads, invalid frames and refused connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HELLO_NAME = "HELLO"


@dataclass
class Alteration:
    """For the next `times_left` payloads called `name`, `change` makes the data that is sent."""

    name: str
    change: Callable[[Any], Any]
    times_left: int


@dataclass
class Refusal:
    """The next `times_left` connections are closed with `code` when they identify or resume."""

    code: int
    times_left: int
    num_met: int = 0


class GatewayFaults:
    """The faults that wait for the bot's connections."""

    def __init__(self) -> None:
        self._alterations: list[Alteration] = []
        self._refusals: list[Refusal] = []
        self.outages: set[int] = set()
        """Ids of the guilds that are unavailable now."""

    def alter(self, name: str, change: Callable[[Any], Any], *, times: int) -> None:
        self._alterations.append(Alteration(name, change, times))

    def refuse(self, code: int, *, times: int) -> Refusal:
        self._refusals.append(Refusal(code, times))
        return self._refusals[-1]

    def clear(self) -> None:
        self._alterations.clear()
        self._refusals.clear()

    def apply_alteration(self, name: str | None, data: Any) -> Any:
        """Return the data to send under this name."""
        for each in self._alterations:
            if each.name == name and each.times_left > 0:
                each.times_left -= 1
                return each.change(data)
        return data

    def take_refusal(self) -> int | None:
        """Return the code to close a connection with that identifies or resumes now."""
        for each in self._refusals:
            if each.times_left > 0:
                each.times_left -= 1
                each.num_met += 1
                return each.code
        return None
