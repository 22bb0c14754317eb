"""The journal of every REST call and gateway event, with its time and its violations."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from discord_sandbox.json_types import Json


@dataclass(frozen=True)
class Violation:
    """A break of Discord's rules.

    `source` is "rules" (the hand-written ones), "openapi" (Discord's description) or "gateway".
    `side` says whose message broke it: the bot's "request", or this sandbox's own "response".
    """

    source: str
    side: str
    where: str
    detail: str

    def __str__(self) -> str:
        return f"[{self.source}, {self.side}] {self.where}: {self.detail}"


@dataclass(eq=False)
class RestCall:
    """One request and its answer. `ms` is the time Discord took to answer, `fault` the fault it met."""

    number: int
    at_s: float
    method: str
    template: str
    path: str
    request: Any = None
    num_files: int = 0
    status: int = 0
    response: Any = None
    code: int | None = None
    ms: float = 0.0
    fault: str | None = None
    rate_limit: dict[str, str] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"{self.method} {self.template}"


@dataclass(frozen=True, eq=False)
class GatewayEvent:
    """One gateway payload; `is_sent` tells Discord's own from the bot's."""

    number: int
    at_s: float
    is_sent: bool
    session_id: str
    op: int
    name: str | None
    data: Any


class Journal:
    """The last `limit` entries, oldest first, and every violation ever."""

    def __init__(self, *, limit: int = 50_000) -> None:
        self._entries: deque[RestCall | GatewayEvent] = deque(maxlen=limit)
        self._listeners: list[Callable[[RestCall | GatewayEvent], None]] = []
        self._number = 0
        self.violations: list[Violation] = []

    def __iter__(self) -> Iterator[RestCall | GatewayEvent]:
        return iter(list(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def calls(self) -> list[RestCall]:
        """REST calls only."""
        return [entry for entry in self._entries if isinstance(entry, RestCall)]

    @property
    def events(self) -> list[GatewayEvent]:
        """Gateway payloads only."""
        return [entry for entry in self._entries if isinstance(entry, GatewayEvent)]

    @property
    def num_invalid(self) -> int:
        """Answers of 401, 403 and 429 so far: Discord bans an address for 10,000 of them in 10 minutes."""
        return sum(call.status in (401, 403, 429) for call in self.calls)

    def take_number(self) -> int:
        self._number += 1
        return self._number

    def add(self, entry: RestCall | GatewayEvent) -> None:
        self._entries.append(entry)
        for listener in list(self._listeners):
            listener(entry)

    def blame(self, violation: Violation, call: RestCall | None = None) -> None:
        """Record a violation, beside the call that made it where there is one."""
        self.violations.append(violation)
        if call is not None:
            call.violations.append(violation)

    def on_entry(self, listener: Callable[[RestCall | GatewayEvent], None]) -> Callable[[], None]:
        """Call `listener` with every new entry, and return a function that unsubscribes it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def redact(value: Any) -> Any:
    """Return a copy of a payload without its tokens, which may be shown."""
    if isinstance(value, dict):
        return {key: "…" if key == "token" else redact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redact(item) for item in value]
    return value


def format_violations(violations: list[Violation], *, most: int = 20) -> str:
    """Return violations as text, one a line."""
    shown = [str(violation) for violation in violations[:most]]
    rest = len(violations) - most
    return "\n".join([*shown, f"... and {rest} more"] if rest > 0 else shown)


__all__ = ["GatewayEvent", "Journal", "Json", "RestCall", "Violation", "format_violations", "redact"]
