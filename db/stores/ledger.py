"""Postings and the balances they sum to: always written together, in the transaction of what they pay for.

A reservation adds an image and its cost. Its end takes the reservation back and adds the charge (`settle`), or, when
nothing is charged, takes the image back as well (`refund`). All postings of an image lie in the window it was asked
for in, and note the version of the cost table that its reservation went by (none: before versions were noted).
`sum(ledger) == balance` for every member, guild and window, at every commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Integer, bindparam, func, insert, literal_column, select
from sqlalchemy.orm import Session

from db.models import BalanceRow, LedgerRow, table
from db.sql import Executor, insert_or_add
from db.stores.members import GUILD_ACCOUNT
from generation.policy.quota import Usage
from generation.requests.cost import COST_VERSION

_ledger = table(LedgerRow)
_balances = table(BalanceRow)
_SUMMED = ("num_images", "reserved", "used")
_USAGE = select(
    func.coalesce(func.sum(_balances.c.num_images), 0),
    func.coalesce(func.sum(_balances.c.reserved), 0),
    func.coalesce(func.sum(_balances.c.used), 0),
).where(
    _balances.c.guild_id == bindparam("guild_id"),
    _balances.c.member_key == bindparam("member_key"),
    _balances.c.window >= bindparam("since"),
)
_OLDEST = (
    select(_balances.c.window)
    .where(
        _balances.c.guild_id == bindparam("guild_id"),
        _balances.c.member_key == bindparam("member_key"),
        _balances.c.window >= bindparam("since"),
        _balances.c.num_images > 0,
    )
    .order_by(_balances.c.window)
    .limit(1)
)
_RESERVED_BY = select(_ledger.c.cost_version).where(
    _ledger.c.image_id == bindparam("of_image"),
    _ledger.c.kind == literal_column("'reserve'"),  # with a bound word SQLite would not use the partial index
)
_APPEND = insert(_ledger).values(
    cost_version=func.coalesce(bindparam("table", type_=Integer()), _RESERVED_BY.scalar_subquery())
)
"""An image is charged by the table its reservation went by, whichever release ends it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose use, counted when. `member_key` may be `GUILD_ACCOUNT`."""

    guild_id: int
    member_key: int = field(repr=False)
    window: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """What one event of an image adds to its member's balance and its guild's."""

    kind: str
    image_id: str
    adds: Usage


def make_reservation(image_id: str, reserved: int) -> Posting:
    return Posting(kind="reserve", image_id=image_id, adds=Usage(num_images=1, reserved=reserved))


def make_ending(image_id: str, *, reserved: int, charged: int) -> Posting:
    """Return the end of a reservation: an image that is charged nothing does not count as one either."""
    if charged == 0:
        return Posting(kind="refund", image_id=image_id, adds=Usage(num_images=-1, reserved=-reserved))
    return Posting(kind="settle", image_id=image_id, adds=Usage(reserved=-reserved, used=charged))


@dataclass(frozen=True, slots=True)
class Entry:
    """A posting to an account, and when it was made."""

    account: Account
    posting: Posting
    at: datetime


def post(session: Executor, account: Account, postings: Iterable[Posting], *, at: datetime) -> None:
    """Append `postings` to the ledger, and their sum to the balances of the member and the guild."""
    post_each(session, [Entry(account, posting, at) for posting in postings])


def post_each(session: Executor, entries: Sequence[Entry]) -> None:
    """Do the same for postings to accounts of their own."""
    session.execute(_APPEND, [_entry_values(entry) for entry in entries])
    sums: dict[Account, Usage] = {}
    for entry in entries:
        for account in (replace(entry.account, member_key=GUILD_ACCOUNT), entry.account):
            sums[account] = add_up((sums.get(account, Usage()), entry.posting.adds))
    session.execute(
        insert_or_add(session, _balances, _SUMMED), [_values(account) | _values(adds) for account, adds in sums.items()]
    )


def add_to_balance(session: Session, account: Account, adds: Usage) -> None:
    """Correct one balance; a posting does this by itself."""
    session.execute(insert_or_add(session, _balances, _SUMMED), _values(account) | _values(adds))


def sum_usage(session: Executor, guild_id: int, *, member_key: int, since: datetime) -> Usage:
    """Return what a member (or `GUILD_ACCOUNT`) asked for in the windows from `since` on."""
    num_images, reserved, used = session.execute(
        _USAGE, {"guild_id": guild_id, "member_key": member_key, "since": since}
    ).one()
    return Usage(num_images=int(num_images), reserved=int(reserved), used=int(used))


def find_oldest_use(session: Executor, guild_id: int, *, member_key: int, since: datetime) -> datetime | None:
    """Return the oldest window from `since` on in which something was used or is reserved."""
    oldest: datetime | None = session.scalar(_OLDEST, {"guild_id": guild_id, "member_key": member_key, "since": since})
    return oldest


def add_up(usages: Iterable[Usage]) -> Usage:
    num_images = reserved = used = 0
    for usage in usages:
        num_images += usage.num_images
        reserved += usage.reserved
        used += usage.used
    return Usage(num_images=num_images, reserved=reserved, used=used)


def _values(row: Account | Usage) -> dict[str, object]:
    """Return what `asdict` does, which copies times and numbers too and takes ten times as long."""
    return {name: getattr(row, name) for name in row.__slots__}


def _entry_values(entry: Entry) -> dict[str, object]:
    posting = entry.posting
    values = {**_values(entry.account), **_values(posting.adds), "kind": posting.kind, "image_id": posting.image_id}
    table = COST_VERSION if posting.kind == "reserve" else None
    return {**values, "at": entry.at, "of_image": posting.image_id, "table": table}
