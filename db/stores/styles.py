"""The styles of guilds."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from db.engine import Database
from db.models import StyleRow
from db.stores.audit_log import Entry, record
from db.stores.errors import NoStylesError, TooManyStylesError, UnknownStyleError
from generation.clock import Clock, utc_now
from generation.requests.style import MAX_STYLES, Style
from generation.validation import stored


class StyleStore:
    """Reads and changes styles. Names are told apart without regard to case."""

    def __init__(self, database: Database, *, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def fetch_all(self, guild_id: int) -> list[Style]:
        """Return a guild's styles by name."""
        return await self._database.read(lambda session: _fetch_all(session, guild_id))

    async def fetch(self, guild_id: int, name: str) -> Style:
        """Return the style. Raise `InvalidRequestError`, naming those there are."""
        return await self._database.read(lambda session: _named(session, guild_id, name))

    async def save(self, style: Style, entry: Entry) -> None:
        """Keep it in place of the one of that name. Raise `InvalidRequestError` where a guild has as many as it may."""

        def work(session: Session) -> None:
            _save(session, style)
            record(session, style.guild_id, entry, at=self._clock())

        await self._database.write(work)

    async def remove(self, guild_id: int, name: str, entry: Entry) -> None:
        """Remove a style. Raise `InvalidRequestError` if there is none of that name, also if another removed it just
        now."""

        def work(session: Session) -> None:
            _remove(session, guild_id, _named(session, guild_id, name).name)
            record(session, guild_id, entry, at=self._clock())

        await self._database.write(work)


def replace_styles(session: Session, guild_id: int, styles: Sequence[Style]) -> None:
    """Keep these in place of all there are. Raise `InvalidRequestError` for more than a guild may have."""
    session.execute(delete(StyleRow).where(StyleRow.guild_id == guild_id))
    for style in styles:
        _save(session, style)


def _fetch_all(session: Session, guild_id: int) -> list[Style]:
    every = select(StyleRow).where(StyleRow.guild_id == guild_id).order_by(func.lower(StyleRow.name))
    return [_style(row) for row in session.scalars(every)]


def _named(session: Session, guild_id: int, name: str) -> Style:
    styles = _fetch_all(session, guild_id)
    for style in styles:
        if style.name.casefold() == name.casefold():
            return style
    known = ", ".join(style.name for style in styles)
    raise UnknownStyleError(name=name[:40], known=known) if known else NoStylesError(name=name[:40])


def _save(session: Session, style: Style) -> None:
    _remove(session, style.guild_id, style.name)
    num = session.scalar(select(func.count()).where(StyleRow.guild_id == style.guild_id)) or 0
    if num >= MAX_STYLES:
        raise TooManyStylesError(number=num)
    values = {"guild_id": style.guild_id, "name": style.name, "prompt": style.prompt, "negative": style.negative}
    session.execute(insert(StyleRow).values(values))


def _remove(session: Session, guild_id: int, name: str) -> None:
    names = session.scalars(select(StyleRow.name).where(StyleRow.guild_id == guild_id)).all()
    same = [each for each in names if each.casefold() == name.casefold()]
    session.execute(delete(StyleRow).where(StyleRow.guild_id == guild_id, StyleRow.name.in_(same)))


def _style(row: StyleRow) -> Style:
    with stored():
        return Style(guild_id=row.guild_id, name=row.name, prompt=row.prompt, negative=row.negative)
