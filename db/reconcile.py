"""Prove that the books add up, and put right what does not, never by changing a posting.

Two things are compared. What the ledger says of each image against what its row says: a difference is posted as a
correction. Then each balance against the ledger's sum: balances are only a sum kept at hand, so the sum wins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, Select, delete, func, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.jobs import account_of, utc_now
from db.ledger import Account, Posting, post
from db.members import GUILD_ACCOUNT
from db.models import BalanceRow, ImageRow, LedgerRow
from generation.ports import Clock
from generation.quota import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that does not add up: `subject` in words, what it should be and what was found."""

    subject: str
    expected: Usage
    found: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """The differences between images and ledger (`postings`), and between ledger and balances (`balances`)."""

    postings: tuple[Difference, ...]
    balances: tuple[Difference, ...]

    @property
    def is_exact(self) -> bool:
        return not self.postings and not self.balances


async def reconcile(database: Database, *, repair: bool = False, clock: Clock = utc_now) -> Reconciliation:
    """Compare images, ledger and balances in one transaction; with `repair`, put right what differs."""
    return await database.write(lambda session: _reconcile(session, repair=repair, at=clock()))


def _reconcile(session: Session, *, repair: bool, at: datetime) -> Reconciliation:
    postings = []
    for image, difference in _image_differences(session):
        postings.append(difference)
        if repair:
            _correct(session, image, difference, at=at)
    balances = []
    for account, difference in _balance_differences(session):
        balances.append(difference)
        if repair:
            _replace_balance(session, account, difference.expected)
    return Reconciliation(postings=tuple(postings), balances=tuple(balances))


def _image_differences(session: Session) -> list[tuple[ImageRow, Difference]]:
    of_image = _sums(LedgerRow).add_columns(LedgerRow.image_id).group_by(LedgerRow.image_id).subquery()
    rows = session.execute(
        select(ImageRow, of_image.c.num_images, of_image.c.reserved, of_image.c.used).outerjoin(
            of_image, of_image.c.image_id == ImageRow.id
        )
    )
    differences = []
    for image, *sums in rows:
        found = Usage(*(int(total or 0) for total in sums))
        if found != (expected := _owed(image)):
            differences.append((image, Difference(subject=f"image {image.id}", expected=expected, found=found)))
    return differences


def _owed(image: ImageRow) -> Usage:
    """What all postings of this image must add up to."""
    if not image.status.is_end:
        return Usage(num_images=1, reserved=image.reserved)
    return Usage(num_images=1 if image.charged else 0, used=image.charged)


def _correct(session: Session, image: ImageRow, difference: Difference, *, at: datetime) -> None:
    expected, found = difference.expected, difference.found
    missing = Usage(
        num_images=expected.num_images - found.num_images,
        reserved=expected.reserved - found.reserved,
        used=expected.used - found.used,
    )
    correction = Posting(kind="correct", image_id=image.id, adds=missing)
    post(session, account_of(session, image.job_id), [correction], at=at)


def _balance_differences(session: Session) -> Iterator[tuple[Account, Difference]]:
    by_member = _sums(LedgerRow).add_columns(LedgerRow.guild_id, LedgerRow.member_key, LedgerRow.window)
    by_guild = _sums(LedgerRow).add_columns(LedgerRow.guild_id, LedgerRow.window)
    expected = {
        _account(row): _usage(row)
        for row in session.execute(by_member.group_by(LedgerRow.guild_id, LedgerRow.member_key, LedgerRow.window))
    }
    for row in session.execute(by_guild.group_by(LedgerRow.guild_id, LedgerRow.window)):
        expected[Account(guild_id=row.guild_id, member_key=GUILD_ACCOUNT, window=row.window)] = _usage(row)
    found = {_account(row): _usage(row) for row in session.execute(select(*BalanceRow.__table__.columns))}
    for account in expected.keys() | found.keys():
        right, wrong = expected.get(account, Usage()), found.get(account, Usage())
        if right != wrong:
            yield account, Difference(subject=f"balance {account}", expected=right, found=wrong)


def _sums(table: type[LedgerRow]) -> Select[int, int, int]:
    return select(
        func.sum(table.num_images).label("num_images"),
        func.sum(table.reserved).label("reserved"),
        func.sum(table.used).label("used"),
    )


def _account(row: Row[tuple[object, ...]]) -> Account:
    return Account(guild_id=row.guild_id, member_key=row.member_key, window=row.window)


def _usage(row: Row[tuple[object, ...]]) -> Usage:
    return Usage(num_images=int(row.num_images), reserved=int(row.reserved), used=int(row.used))


def _replace_balance(session: Session, account: Account, right: Usage) -> None:
    session.execute(
        delete(BalanceRow).where(
            BalanceRow.guild_id == account.guild_id,
            BalanceRow.member_key == account.member_key,
            BalanceRow.window == account.window,
        )
    )
    session.execute(
        insert(BalanceRow).values(
            guild_id=account.guild_id,
            member_key=account.member_key,
            window=account.window,
            num_images=right.num_images,
            reserved=right.reserved,
            used=right.used,
        )
    )
