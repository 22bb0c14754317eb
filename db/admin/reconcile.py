"""Prove that the books add up, and put right what does not, never by changing a posting.

Two things are compared. What the ledger says of each image against what its row says: a difference is posted as a
correction. Then each balance against the ledger's sum: balances are only a sum kept at hand, so the sum wins.

The database compares, beside any writer, and gives only what differs. What is missing is then added, some a
transaction: postings that arrive meanwhile change both sides by the same, so the difference stays what it is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, case, func, literal, or_, select, text, tuple_, union_all
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import BalanceRow, ImageRow, LedgerRow, table
from db.stores.image_files import IS_ALIVE
from db.stores.jobs import find_account
from db.stores.ledger import Account, Posting, add_to_balance, post
from db.stores.members import GUILD_ACCOUNT
from generation.clock import Clock, utc_now
from generation.policy.quota import Usage

T = TypeVar("T")
MAX_NAMED = 1000
"""So many differences are named; the others are counted."""
_AT_ONCE = 200
_PASS = 20_000
"""Differences found at a time, for each time goes through the whole ledger."""
_images, _balances = table(ImageRow), table(BalanceRow)
_SUMS = ("num_images", "reserved", "used")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that does not add up: `subject` in words, what it should be and what was found."""

    subject: str
    expected: Usage
    found: Usage

    @property
    def missing(self) -> Usage:
        expected, found = self.expected, self.found
        return Usage(*(getattr(expected, name) - getattr(found, name) for name in _SUMS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The differences between images and ledger (`postings`), and between ledger and balances (`balances`).

    Of very many only the first are named; `number` counts all.
    """

    postings: tuple[Difference, ...]
    balances: tuple[Difference, ...]
    number: int

    @property
    def is_exact(self) -> bool:
        return self.number == 0


async def reconcile(database: Database, *, repair: bool = False, clock: Clock = utc_now) -> Reconciliation:
    """Compare images, ledger and balances; with `repair`, put right what differs."""

    def correct_images(session: Session, *, found: Sequence[tuple[str, Difference]]) -> None:
        for image_id, difference in found:
            _correct(session, image_id, difference.missing, at=clock())

    def correct_balances(session: Session, *, found: Sequence[tuple[Account, Difference]]) -> None:
        for account, difference in found:
            add_to_balance(session, account, difference.missing)

    def write(correct: Callable[..., None]) -> Callable[[Sequence[Any]], Awaitable[None]] | None:
        return (lambda found: database.write(partial(correct, found=found))) if repair else None

    postings, num_postings = await _compare(database, _wrong_images, "", write(correct_images))
    balances, num_balances = await _compare(database, _wrong_balances, None, write(correct_balances))
    return Reconciliation(postings=postings, balances=balances, number=num_postings + num_balances)


async def _compare(
    database: Database,
    find: Callable[..., list[tuple[T, Difference]]],
    after: T | None,
    correct: Callable[[Sequence[Any]], Awaitable[None]] | None,
) -> tuple[tuple[Difference, ...], int]:
    """Go through all that `find` finds, and correct it where that is wanted. The first differences, and how many."""
    named: list[Difference] = []
    number = 0
    while found := await database.read_apart(partial(find, after=after)):
        named += [difference for _, difference in found[: MAX_NAMED - len(named)]]
        number, after = number + len(found), found[-1][0]
        for first in range(0, len(found) if correct else 0, _AT_ONCE):
            assert correct is not None
            await correct(found[first : first + _AT_ONCE])
        if len(found) < _PASS:
            break
    return tuple(named), number


def _wrong_images(session: Session, *, after: str) -> list[tuple[str, Difference]]:
    """Images whose postings do not add up to what they owe, in the order of their ids."""
    reserved, ended = table(LedgerRow).alias("reserved"), table(LedgerRow).alias("ended")
    others = select(LedgerRow.image_id, *(func.sum(getattr(LedgerRow, name)).label(name) for name in _SUMS))
    corrected = others.where(LedgerRow.kind.not_in(("reserve", "settle", "refund"))).group_by(LedgerRow.image_id)
    corrections = corrected.subquery("corrections")
    parts = (reserved, ended, corrections)
    found = [sum((func.coalesce(each.c[name], 0) for each in parts), start=literal(0)) for name in _SUMS]
    expected = _owed()
    # One posting of each kind, which an index finds: written out, for only so does SQLite see that it will do.
    rows = (
        select(_images.c.id, *expected, *found)
        .outerjoin(reserved, (reserved.c.image_id == _images.c.id) & text("reserved.kind = 'reserve'"))
        .outerjoin(ended, (ended.c.image_id == _images.c.id) & text("ended.kind IN ('settle', 'refund')"))
        .outerjoin(corrections, corrections.c.image_id == _images.c.id)
        .where(_images.c.id > after, _differ(expected, found))
        .order_by(_images.c.id)
        .limit(_PASS)
    )
    return [(row[0], _difference(f"image {row[0]}", row[1:])) for row in session.execute(rows)]


def _owed() -> list[ColumnElement[int]]:
    """Return what all postings of an image must add up to: number, reserved, used."""
    is_charged = _images.c.charged != 0
    return [
        case((IS_ALIVE, 1), (is_charged, 1), else_=0),
        case((IS_ALIVE, _images.c.reserved), else_=0),
        case((IS_ALIVE, 0), else_=_images.c.charged),
    ]


def _wrong_balances(session: Session, *, after: Account | None) -> list[tuple[Account, Difference]]:
    """Balances that are not the ledger's sums: both sides are laid on one heap and summed by account."""
    zeros = [literal(0) for _ in _SUMS]
    in_ledger = [getattr(LedgerRow, name) for name in _SUMS]
    every = union_all(
        select(LedgerRow.guild_id, LedgerRow.member_key, LedgerRow.window, *in_ledger, *zeros),
        select(LedgerRow.guild_id, literal(GUILD_ACCOUNT), LedgerRow.window, *in_ledger, *zeros),
        select(*_balances.primary_key, *zeros, *(_balances.c[name] for name in _SUMS)),
    ).subquery()
    account, sums = list(every.c)[:3], [func.sum(column) for column in list(every.c)[3:]]
    rows = select(*account, *sums).group_by(*account).having(_differ(sums[:3], sums[3:])).order_by(*account)
    if after is not None:
        rows = rows.where(tuple_(*account) > (after.guild_id, after.member_key, after.window))
    found = []
    for guild_id, member_key, window, *values in session.execute(rows.limit(_PASS)):
        this = Account(guild_id=guild_id, member_key=member_key, window=window)
        found.append((this, _difference(f"balance {this}", values)))
    return found


def _differ(expected: Sequence[ColumnElement[int]], found: Sequence[ColumnElement[int]]) -> ColumnElement[bool]:
    return or_(*(left != right for left, right in zip(expected, found, strict=True)))


def _difference(subject: str, values: Sequence[int]) -> Difference:
    expected, found = Usage(*map(int, values[:3])), Usage(*map(int, values[3:]))
    return Difference(subject=subject, expected=expected, found=found)


def _correct(session: Session, image_id: str, missing: Usage, *, at: datetime) -> None:
    job_id = session.scalar(select(ImageRow.job_id).where(ImageRow.id == image_id))
    if job_id is not None:
        post(session, find_account(session, job_id), [Posting(kind="correct", image_id=image_id, adds=missing)], at=at)
