"""Money as whole millionths of whatever the operator pays in, and the books that the cloud worker needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

MILLION = 1_000_000


def to_micros(amount: float) -> int:
    """Return an amount in whole millionths, never less than it is."""
    return -int(-amount * MILLION // 1)


class Begun(StrEnum):
    """What became of the wish to have an image painted for money."""

    NEW = "new"
    """The price is reserved under a new prediction."""
    AGAIN = "again"
    """It was asked for before, and is not settled: nothing more is reserved."""
    SPENT = "spent"
    """It was paid for once already. It is not paid for twice."""
    TOO_MUCH = "too much"
    """The month's budget has no room for it."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """The answer to that wish. `remote_id`: how the server calls the prediction; None before it has said so."""

    begun: Begun
    prediction_id: str = ""
    remote_id: str | None = None
    committed: int = 0
    """Reserved and spent in the month, this included."""


@dataclass(frozen=True, slots=True)
class Spending:
    """What a stretch of time cost."""

    num_paid: int = 0
    """Predictions that cost something."""
    spent: int = 0
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class CloudTerms:
    """What people are told of a cloud worker: where it is, and what a month may cost."""

    host: str
    budget: int


class CloudBooks(Protocol):
    """Where money is reserved before it is spent, durably. An image is paid for once, whatever happens."""

    async def begin(self, image_id: str, *, price: int, budget: int) -> Reservation:
        """Reserve the price of an image, with the id of its prediction, if the month's budget has room."""

    async def note_asked(self, prediction_id: str, remote_id: str) -> None:
        """Store how the server calls a prediction."""

    async def settle(self, prediction_id: str, *, spent: int) -> int:
        """Replace what is reserved by what was spent, once; return what the month has committed now."""

    async def fetch_committed(self) -> int:
        """Return what is reserved and spent in this month."""
