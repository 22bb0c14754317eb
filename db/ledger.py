"""Postings and the balances they sum to: always written together, in the transaction of what they pay for.

A reservation adds an image and its cost. Its end takes the reservation back and adds the charge (`settle`), or, when
nothing is charged, takes the image back as well (`refund`). All postings of an image lie in the window it was asked
for in. `sum(ledger) == balance` for every member, guild and window, at every commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from db.members import GUILD_ACCOUNT
from db.models import BalanceRow, LedgerRow
from generation.quota import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose use, counted when. `member_key` may be `GUILD_ACCOUNT`."""

    guild_id: int
    member_key: int
    window: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """What one event of an image adds to its member's balance and its guild's."""

    kind: str
    image_id: str
    adds: Usage


def reservation(image_id: str, reserved: int) -> Posting:
    return Posting(kind="reserve", image_id=image_id, adds=Usage(num_images=1, reserved=reserved))


def ending(image_id: str, *, reserved: int, charged: int) -> Posting:
    """The end of a reservation: an image that is charged nothing does not count as one either."""
    if charged == 0:
        return Posting(kind="refund", image_id=image_id, adds=Usage(num_images=-1, reserved=-reserved))
    return Posting(kind="settle", image_id=image_id, adds=Usage(reserved=-reserved, used=charged))


def post(session: Session, account: Account, postings: Iterable[Posting], *, at: datetime) -> None:
    """Append `postings` to the ledger, and their sum to the balances of the member and the guild."""
    every = list(postings)
    rows = [
        {
            "guild_id": account.guild_id,
            "member_key": account.member_key,
            "window": account.window,
            "kind": posting.kind,
            "image_id": posting.image_id,
            "num_images": posting.adds.num_images,
            "reserved": posting.adds.reserved,
            "used": posting.adds.used,
            "at": at,
        }
        for posting in every
    ]
    session.execute(insert(LedgerRow), rows)
    total = add_up(posting.adds for posting in every)
    for member_key in (account.member_key, GUILD_ACCOUNT):
        _add_to_balance(session, account, member_key, total)


def usage_since(session: Session, guild_id: int, member_key: int, *, since: datetime) -> Usage:
    """What a member (or `GUILD_ACCOUNT`) was asked for in the windows from `since` on."""
    sums = select(
        func.coalesce(func.sum(BalanceRow.num_images), 0),
        func.coalesce(func.sum(BalanceRow.reserved), 0),
        func.coalesce(func.sum(BalanceRow.used), 0),
    ).where(BalanceRow.guild_id == guild_id, BalanceRow.member_key == member_key, BalanceRow.window >= since)
    num_images, reserved, used = session.execute(sums).one()
    return Usage(num_images=int(num_images), reserved=int(reserved), used=int(used))


def add_up(usages: Iterable[Usage]) -> Usage:
    num_images = reserved = used = 0
    for usage in usages:
        num_images += usage.num_images
        reserved += usage.reserved
        used += usage.used
    return Usage(num_images=num_images, reserved=reserved, used=used)


def _add_to_balance(session: Session, account: Account, member_key: int, adds: Usage) -> None:
    # Update, else insert: safe because there is one writer, and the same words on either database.
    changed = session.execute(
        update(BalanceRow)
        .where(
            BalanceRow.guild_id == account.guild_id,
            BalanceRow.member_key == member_key,
            BalanceRow.window == account.window,
        )
        .values(
            num_images=BalanceRow.num_images + adds.num_images,
            reserved=BalanceRow.reserved + adds.reserved,
            used=BalanceRow.used + adds.used,
        )
        .execution_options(synchronize_session=False)
        .returning(BalanceRow.window)
    ).first()
    if changed is None:
        session.execute(
            insert(BalanceRow).values(
                guild_id=account.guild_id,
                member_key=member_key,
                window=account.window,
                num_images=adds.num_images,
                reserved=adds.reserved,
                used=adds.used,
            )
        )
